//! `parallax calls`: the described calls, and what a campaign did with them.

use super::code;
use anyhow::Context as _;
use parallax_corpus::check::wanted;
use parallax_corpus::desc::Desc;
use parallax_corpus::{Area, CallId, tables};
use parallax_fuzzer::campaign::SNAPSHOT;
use parallax_fuzzer::knowledge::fruitless;
use parallax_fuzzer::snapshot::Snapshot;
use parallax_fuzzer::tally::Tally;
use parallax_triage::stats::Counts;
use std::io::Write;
use std::path::{Path, PathBuf};

/// List the described system calls.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax calls | grep ioctl
  parallax calls --campaign parallax-out          how often each was run and succeeded there
  parallax calls --json | jq '.[] | select(.area == \"tty\") | .name'")]
pub struct Options {
    /// Machine-readable
    #[arg(long)]
    json: bool,
    /// Also say how often each call was run and succeeded on Linux in the campaign in DIR
    #[arg(long, value_name = "DIR")]
    campaign: Option<PathBuf>,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let tally = options.campaign.as_deref().map(tally_of).transpose()?;
    let mut out = std::io::stdout().lock();
    let ids = || (0..tables::all().len()).filter_map(CallId::from_index);
    if options.json {
        let list: Vec<serde_json::Value> = ids().map(|id| as_json(id, tally.as_ref())).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
        return Ok(code::OK);
    }
    for area in Area::ALL {
        let calls: Vec<CallId> = ids().filter(|id| id.desc().area == area).collect();
        writeln!(out, "{} ({} calls)", area.name(), calls.len())?;
        for id in calls {
            describe(&mut out, id.desc())?;
            if let Some(tally) = &tally {
                let Counts { runs, ok, blocked, .. } = tally.of(id);
                writeln!(out, "      run {runs} times, succeeded {ok}, blocked {blocked}")?;
            }
        }
    }
    let mut syscalls: Vec<&str> = tables::all().iter().map(|d| d.base_name()).collect();
    syscalls.sort_unstable();
    syscalls.dedup();
    writeln!(out, "{} calls and variants of {} system calls", tables::all().len(), syscalls.len())?;
    if let Some(tally) = &tally {
        silent(&mut out, ids(), tally)?;
    }
    Ok(code::OK)
}

/// What a campaign counted.
fn tally_of(dir: &Path) -> anyhow::Result<Tally> {
    let snapshot = Snapshot::read(&dir.join(SNAPSHOT)).map_err(anyhow::Error::msg)?;
    Ok(snapshot
        .with_context(|| format!("{}: no campaign is there (it has no {SNAPSHOT})", dir.display()))?
        .tally)
}

fn describe(out: &mut impl Write, desc: &Desc) -> std::io::Result<()> {
    let args: Vec<&str> = desc.written().map(|(_, a)| a.name).collect();
    writeln!(out, "  {}({})    {}, Linux {}", desc.name, args.join(", "), desc.page(), desc.since)?;
    for (_, a) in desc.written() {
        writeln!(out, "      {}: {}", a.name, wanted(&a.ty))?;
    }
    for output in desc.outputs() {
        writeln!(out, "      -> {}: {}", output.name, output.meaning)?;
    }
    Ok(())
}

/// The calls that were never run or never succeeded, and why those cannot that are known not to.
fn silent(out: &mut impl Write, ids: impl Iterator<Item = CallId>, tally: &Tally) -> std::io::Result<()> {
    let (mut never_run, mut never_ok) = (Vec::new(), Vec::new());
    for id in ids {
        match tally.of(id) {
            Counts { runs: 0, .. } => never_run.push(id),
            Counts { ok: 0, .. } => never_ok.push(id),
            _ => {}
        }
    }
    for (title, calls) in [("never run", never_run), ("never succeeded", never_ok)] {
        writeln!(out, "{title}: {}", if calls.is_empty() { "none" } else { "" })?;
        for id in calls {
            let why = fruitless(id).map_or_else(String::new, |why| format!(" ({why})"));
            writeln!(out, "  {}{why}", id.name())?;
        }
    }
    Ok(())
}

fn as_json(id: CallId, tally: Option<&Tally>) -> serde_json::Value {
    let desc = id.desc();
    let outputs: Vec<serde_json::Value> = desc
        .outputs()
        .iter()
        .map(|o| serde_json::json!({ "field": o.name, "bytes": o.bytes, "meaning": o.meaning }))
        .collect();
    let arguments: Vec<serde_json::Value> =
        desc.written().map(|(_, a)| serde_json::json!({ "name": a.name, "is": wanted(&a.ty) })).collect();
    let mut json = serde_json::json!({
        "name": desc.name,
        "syscall": desc.base_name(),
        "area": desc.area.name(),
        "arguments": arguments,
        "outputs": outputs,
        "since": desc.since,
        "page": desc.page(),
    });
    if let Some(tally) = tally {
        let counts = tally.of(id);
        json["runs"] = counts.runs.into();
        json["ok"] = counts.ok.into();
        json["blocked"] = counts.blocked.into();
    }
    json
}
