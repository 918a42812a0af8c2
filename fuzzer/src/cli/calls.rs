//! `parallax calls`: the described calls.

use super::code;
use parallax_corpus::desc::{Desc, Out, Ty};
use parallax_corpus::{Area, tables};
use std::io::Write;

/// List the described system calls.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax calls | grep ioctl
  parallax calls --json | jq '.[] | select(.area == \"tty\") | .name'")]
pub struct Options {
    /// Machine-readable
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let mut out = std::io::stdout().lock();
    if options.json {
        let list: Vec<serde_json::Value> = tables::all().iter().map(|d| as_json(d)).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
        return Ok(code::OK);
    }
    for area in Area::ALL {
        let calls: Vec<_> = tables::of_area(area).collect();
        writeln!(out, "{} ({} calls)", area.name(), calls.len())?;
        for (_, desc) in calls {
            let args: Vec<&str> = desc.written().map(|(_, a)| a.name).collect();
            writeln!(out, "  {}({})", desc.name, args.join(", "))?;
        }
    }
    writeln!(out, "{} calls and variants", tables::all().len())?;
    Ok(code::OK)
}

fn as_json(desc: &Desc) -> serde_json::Value {
    let outputs: Vec<serde_json::Value> = desc
        .args
        .iter()
        .flat_map(|a| match a.ty {
            Ty::Ptr(_, Out::Fields(fields, _) | Out::Array(fields, _)) => fields,
            _ => &[],
        })
        .map(|f| serde_json::json!({ "field": f.name, "bytes": f.size, "meaning": meaning(f.meaning) }))
        .collect();
    serde_json::json!({
        "name": desc.name,
        "area": desc.area.name(),
        "arguments": desc.written().map(|(_, a)| a.name).collect::<Vec<_>>(),
        "returns": meaning(desc.ret),
        "outputs": outputs,
        "since": desc.since,
    })
}

/// The meaning's bare name: `Flags`, `Clock`, ...
fn meaning(meaning: parallax_corpus::Meaning) -> String {
    let text = format!("{meaning:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_lowercase()
}
