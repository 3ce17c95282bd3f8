//! `flurm wire`: looks at Slurm's protocol. Decodes captures, follows live connections, compares.
//!
//! What bytes mean is `flurm_wire`'s; here are files, sockets and printing.

mod capture;
mod conversation;
mod decode;
mod diff;
mod listen;
mod proxy;
mod tcp;

use std::process::ExitCode;

use crate::arguments::{self, Given, Known, flag, value};

/// What went wrong, as a fragment that finishes "could not …" or as a hint at the options.
type Outcome = Result<ExitCode, String>;

/// The usage text.
pub const HELP: &str = "Usage: flurm wire COMMAND [OPTIONS]

  decode [FILE...]          Print messages as JSON, from hexadecimal text (.hex, xxd, hexdump -C) or
                            binary; without FILE from standard input. Ends with 1 when one is damaged.
  diff A B                  Compare two captures field by field. Ends with 0 when they say the
                            same, with 1 when they differ, with 2 when they cannot be read.
  proxy --listen A --to B   Pass connections on and print the messages of both sides.
  listen                    Print the messages of all TCP connections that this machine sees
                            beginning. Needs root.

  -o, --offsets             decode: show where each field stands: at (byte), bytes (length), value.
  -j, --json                One line of JSON a message.
  -r, --release RELEASE     decode, diff: the bytes are of a persistent connection of this release.
  -i, --ignore FIELD        diff: leave out a field, by its name or the end of its path; repeatable.
  -l, --listen ADDR:PORT    proxy: where clients connect.
  -t, --to ADDR:PORT        proxy: where their connections are passed on to.
  -p, --port PORT           listen: only connections to this port; repeatable.
  -s, --save FOLDER         proxy, listen: keep each message as a .hex file there.
  -n, --note FILE           proxy, listen: text to be kept with each message, read each time.
  -h, --help                Print this help.";

fn known() -> [Known; 10] {
    [
        flag('o', Some("offsets")),
        flag('j', Some("json")),
        value('r', Some("release")),
        value('i', Some("ignore")),
        value('l', Some("listen")),
        value('t', Some("to")),
        value('p', Some("port")),
        value('s', Some("save")),
        value('n', Some("note")),
        flag('h', Some("help")),
    ]
}

/// Runs the command whose arguments follow `flurm wire`.
pub fn run(args: impl IntoIterator<Item = String>) -> Outcome {
    let given = arguments::read(&known(), args)?;
    if given.count('h') > 0 {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let words: Vec<&str> = given.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["decode", files @ ..] => decode::run(&given, files),
        ["diff", left, right] => Ok(diff::run(&given, left, right)),
        ["diff", ..] => Err("diff compares two files".to_owned()),
        ["proxy"] => proxy::run(&given),
        ["listen"] => listen::run(&given),
        [] => Err("wire needs a command: decode, diff, proxy or listen".to_owned()),
        [word, ..] => Err(format!("unknown command 'wire {word}'")),
    }
}

/// Every value of a repeatable option.
fn values(given: &Given, letter: char) -> Vec<String> {
    let of_letter = given.options.iter().filter(|(option, _)| *option == letter);
    of_letter.filter_map(|(_, value)| value.clone()).collect()
}
