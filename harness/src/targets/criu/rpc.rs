//! CRIU's RPC: the few messages of `rpc.proto` that are used, and the socket they go over (criu.org/RPC). `criu swrk FD`
//! serves one request on a socket and ends.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use prost::Message;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 64 << 10;

/// `criu_opts`, by the field numbers of `rpc.proto`. What is not here stands in the configuration file.
#[derive(Clone, PartialEq, Message)]
pub struct Options {
    /// Not used (-1): the peer's own pid, which it is looked up by, is another one here.
    #[prost(int32, required, tag = "1")]
    pub images_dir_fd: i32,
    /// Root of the tree to be dumped.
    #[prost(int32, optional, tag = "2")]
    pub pid: Option<i32>,
    /// The tree's session is not its own.
    #[prost(bool, optional, tag = "7")]
    pub shell_job: Option<bool>,
    /// Locks of files are dumped, too.
    #[prost(bool, optional, tag = "8")]
    pub file_locks: Option<bool>,
    /// How much is logged: 1 errors, 2 warnings, 4 everything.
    #[prost(int32, optional, tag = "9")]
    pub log_level: Option<i32>,
    /// In the working directory.
    #[prost(string, optional, tag = "10")]
    pub log_file: Option<String>,
    /// The restored tree becomes a child of the parent of `criu`.
    #[prost(bool, optional, tag = "26")]
    pub rst_sibling: Option<bool>,
    /// Descriptors of `criu` that take the place of dumped ones.
    #[prost(message, repeated, tag = "27")]
    pub inherit_fd: Vec<InheritFd>,
    /// Memory comes when it is touched, from whoever serves it (`criu lazy-pages`).
    #[prost(bool, optional, tag = "48")]
    pub lazy_pages: Option<bool>,
    /// More options, as on the command line.
    #[prost(string, optional, tag = "51")]
    pub config_file: Option<String>,
    /// How connections are kept quiet meanwhile (`criu_network_lock_method`). Not in the configuration file: CRIU's
    /// development version dies of it there.
    #[prost(int32, optional, tag = "64")]
    pub network_lock: Option<i32>,
}

/// [`Options::network_lock`]: they are not.
pub(super) const NO_NETWORK_LOCK: i32 = 3;

/// `inherit_fd`: what was dumped, such as `pipe:[123]`, and the descriptor that stands for it.
#[derive(Clone, PartialEq, Message)]
pub struct InheritFd {
    /// The dumped file's key.
    #[prost(string, required, tag = "1")]
    pub key: String,
    /// The descriptor in `criu`.
    #[prost(int32, required, tag = "2")]
    pub fd: i32,
}

/// What is asked for (`criu_req_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum What {
    /// Nothing.
    Empty = 0,
    /// Dump a tree and kill it.
    Dump = 1,
    /// Restore it.
    Restore = 2,
}

/// `criu_req`.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// What is asked for.
    #[prost(enumeration = "What", required, tag = "1")]
    pub what: i32,
    /// And how.
    #[prost(message, optional, tag = "2")]
    pub options: Option<Options>,
}

/// `criu_restore_resp`.
#[derive(Clone, PartialEq, Message)]
pub struct Restored {
    /// The tree's root.
    #[prost(int32, required, tag = "1")]
    pub pid: i32,
}

/// `criu_resp`.
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    /// What was asked for.
    #[prost(enumeration = "What", required, tag = "1")]
    pub what: i32,
    /// Whether it worked.
    #[prost(bool, required, tag = "2")]
    pub success: bool,
    /// What was restored.
    #[prost(message, optional, tag = "4")]
    pub restored: Option<Restored>,
    /// An errno, if it did not work.
    #[prost(int32, optional, tag = "7")]
    pub errno: Option<i32>,
    /// Why it did not work.
    #[prost(string, optional, tag = "9")]
    pub message: Option<String>,
}

/// Our end of the socket.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Our end, and the one that `criu` gets. Whoever waits there waits no longer than `patience`.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn pair(patience: Duration) -> nix::Result<(Socket, OwnedFd)> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let time = TimeVal::milliseconds(patience.as_millis().try_into().unwrap_or(i64::MAX));
        setsockopt(&ours, sockopt::ReceiveTimeout, &time)?;
        setsockopt(&ours, sockopt::SendTimeout, &time)?;
        Ok((Socket(ours), theirs))
    }

    /// Throws away what nobody has read.
    pub fn drain(&self) {
        let mut bytes = [0; 4096];
        while matches!(recv(self.0.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT), Ok(n) if n > 0) {}
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// In words: no answer, or none that is understood.
    pub fn ask(&self, what: What, options: Options) -> Result<Response, String> {
        let request = Request { what: what.into(), options: Some(options) }.encode_to_vec();
        send(self.0.as_raw_fd(), &request, MsgFlags::MSG_NOSIGNAL).map_err(|e| format!("no request: {e}"))?;
        let mut answer = vec![0; MAX_ANSWER];
        let len = loop {
            match recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Err("no answer in time".to_owned()),
                Err(e) => return Err(format!("no answer: {e}")),
                Ok(len) => break len,
            }
        };
        Response::decode(&answer[..len]).map_err(|e| format!("an answer that is none: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::write;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_what_rpc_proto_says() {
        let options =
            Options { images_dir_fd: -1, pid: Some(5), rst_sibling: Some(true), ..Options::default() };
        let bytes = Request { what: What::Dump.into(), options: Some(options) }.encode_to_vec();
        // Field 1 varint 1; field 2 of 16 bytes: 1 = -1 (ten bytes), 2 = 5, 26 = true.
        assert_eq!(bytes[..4], [8, 1, 18, 16]);
        assert_eq!(bytes[4..15], [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        assert_eq!(bytes[15..], [16, 5, 0xd0, 1, 1]);
    }

    proptest! {
        #[test]
        fn hostile_answers_are_refused_in_words(bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            let (ours, theirs) = Socket::pair(Duration::from_secs(5)).unwrap();
            write(&theirs, &bytes).unwrap();
            let _ = ours.ask(What::Dump, Options::default());
        }
    }
}
