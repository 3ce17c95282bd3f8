//! `flurm wire` as a command: captured frames in, JSON and differences out; a proxy between real
//! sockets.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const FLURM: &str = env!("CARGO_BIN_EXE_flurm");

fn capture(name: &str) -> String {
    format!("{}/../../tests/captures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn bytes_of(file: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(file).unwrap();
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn wire(args: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut command = Command::new(FLURM);
    command.arg("wire").args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that is wrong ends without reading.
    let _unread = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_capture_becomes_json_with_names_and_places() {
    let file = capture("24.11/4003_sbatch.hex");
    let (code, out, err) = wire(&["decode", &file], b"");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for expected in [
        "\"name\": \"REQUEST_SUBMIT_BATCH_JOB\"",
        "\"release\": \"24.11\"",
        "  \"auth\": {\"plugin\": \"none\", \"uid\": 0, \"gid\": 0, \"hostname\": \"c1\"},\n",
        "    \"name\": \"long.sh\",\n",
    ] {
        assert!(out.contains(expected), "{expected} is not in\n{out}");
    }
    let (code, out, _) = wire(&["decode", "--offsets", &file], b"");
    assert_eq!(code, Some(0));
    assert!(out.contains("\"length\": {\"at\": 0, \"bytes\": 4, \"value\": 1437}"), "{out}");
    assert!(out.contains("\"version\": {\"at\": 4, \"bytes\": 2, \"value\": 10752}"), "{out}");
}

#[test]
fn forwarding_and_the_answers_that_come_back_are_told_with_places() {
    let file = capture("24.11/1018_start_ret.hex");
    let (code, out, err) = wire(&["decode", "--json", "--offsets", &file], b"");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let header = &out[..out.find("\"auth\"").unwrap()];
    for expected in [
        r#""returned":{"at":16,"bytes":72,"items":[{"at":18,"bytes":70,"fields":{"error":"#,
        r#""msg_type":{"at":22,"bytes":2,"value":1018}"#,
        r#""node_name":{"at":24,"bytes":7,"value":"n2"}"#,
        r#""RESPONSE_ACCT_GATHER_UPDATE":{"at":31,"bytes":57,"fields":{"node_name":{"at":31,"#,
    ] {
        assert!(header.contains(expected), "{expected} is not in\n{header}");
    }
    // What the node itself says stands behind it, under the same names.
    assert!(out[header.len()..].contains(r#""value":"n1""#), "{out}");
    let (code, out, _) = wire(&["diff", &file, &file], b"");
    assert_eq!((code, out.as_str()), (Some(0), ""));
    let plain = capture("24.11/1018_srun.hex");
    let (code, out, _) = wire(&["diff", &plain, &file], b"");
    assert_eq!(code, Some(1));
    assert!(out.contains("header.returned"), "{out}");
    let (code, out, _) = wire(&["decode", "-j", "-o", &capture("24.11/5019_sstat_fwd.hex")], b"");
    assert_eq!(code, Some(0));
    for expected in [
        r#""forward":{"at":14,"bytes":17,"fields":{"count":{"at":14,"bytes":2,"value":1}"#,
        r#""nodelist":{"at":16,"bytes":7,"value":"n2"}"#,
        r#""tree_depth":{"at":29,"bytes":2,"value":2}"#,
    ] {
        assert!(out.contains(expected), "{expected} is not in\n{out}");
    }
}

#[test]
fn text_dumps_and_bytes_say_the_same() {
    let file = capture("22.05/2010_sinfo.hex");
    let expected = wire(&["decode", "-j", &file], b"");
    assert_eq!(expected.1.lines().count(), 1);
    let bytes = bytes_of(&file);
    assert_eq!(wire(&["decode", "-j"], &bytes), expected);
    let dump = |line: (usize, &[u8])| {
        let digits: Vec<String> = line.1.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:08x}: {}  text\n", line.0 * 16, digits.join(" "))
    };
    let text: String = bytes.chunks(16).enumerate().map(dump).collect();
    assert_eq!(wire(&["decode", "-j"], text.as_bytes()), expected);
    let (code, out, _) = wire(&["decode", "-j"], &[&bytes[..], &bytes[..]].concat());
    assert_eq!((code, out), (Some(0), expected.1.repeat(2)));
}

#[test]
fn damage_and_the_unknown_are_told() {
    let mut bytes = bytes_of(&capture("22.05/2010_sinfo.hex"));
    bytes.truncate(100);
    let (code, out, _) = wire(&["decode"], &bytes);
    assert_eq!(code, Some(1));
    assert!(out.contains("\"damage\""), "{out}");
    assert!(out.contains("bytes where 96 follow"), "{out}");
    let unknown = b"\0\0\0\x12\x2a\0\0\x40\x03\xed\0\0\0\x02\0\0\0\0\0\0\xab\xcd";
    let mut unknown = unknown.to_vec();
    unknown[8..10].copy_from_slice(&1017u16.to_be_bytes());
    let (code, out, _) = wire(&["decode"], &unknown);
    assert!(code == Some(0) || out.contains("damage"), "{out}");
    assert!(out.contains("\"abcd\""), "{out}");
    let persistent = b"\0\0\0\x02\x03\xf0";
    let (code, out, _) = wire(&["decode", "-r", "23.11"], persistent);
    assert_eq!(code, Some(0));
    assert!(out.contains("\"name\": \"REQUEST_PING\""), "{out}");
    assert!(out.contains("\"release\": \"23.11\""), "{out}");
}

#[test]
fn captures_are_compared_field_by_field() {
    let (left, right) = (capture("24.11/4003_sbatch.hex"), capture("24.11/4003_sbatch_2.hex"));
    assert_eq!(wire(&["diff", &left, &left], b""), (Some(0), String::new(), String::new()));
    let (code, out, _) = wire(&["diff", &left, &right], b"");
    assert_eq!(code, Some(1));
    assert!(out.lines().all(|line| line.contains(" != ")), "{out}");
    assert!(out.lines().any(|line| line.starts_with("body.")), "{out}");
    let fields = ["length", "header", "body"].map(|field| ["--ignore", field]).concat();
    let args: Vec<&str> = ["diff", &left, &right].into_iter().chain(fields).collect();
    assert_eq!(wire(&args, b""), (Some(0), String::new(), String::new()));
    assert_eq!(wire(&["diff", &left, "/nonexistent"], b"").0, Some(2));
}

#[test]
fn mistakes_are_told_with_a_hint() {
    for (args, expected) in [
        (&["decode", "-r", "21.08"][..], "'21.08' is none of 22.05, 23.02"),
        (&["diff", "one"], "diff compares two files"),
        (&["proxy"], "proxy needs --listen and --to"),
        (&["frobnicate"], "unknown command 'wire frobnicate'"),
        (&[], "wire needs a command"),
        (&["decode", "/nonexistent"], "could not read /nonexistent"),
    ] {
        let (code, _, err) = wire(args, b"");
        assert_eq!(code, Some(1), "{args:?}");
        assert!(err.contains(expected), "{args:?}: {err}");
    }
}

/// A proxy in front of a server, and where it keeps messages.
struct Proxy {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Proxy {
    fn before(server: &TcpListener, word: &str) -> Self {
        let name = format!("flurm-wire-{word}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let to = server.local_addr().unwrap().to_string();
        let mut command = Command::new(FLURM);
        command.args(["wire", "proxy", "--listen", "127.0.0.1:0", "--to", &to, "--json"]);
        command.arg("--save").arg(&folder);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.split(',').next().and_then(|here| here.rsplit(':').next()).unwrap();
        Self { child, port: port.parse().unwrap(), folder }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    /// What it has printed, after it was ended.
    fn printed(&mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _gone = self.child.wait();
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

fn kept(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Sends through the proxy, answers as the server, and gives what the client receives.
fn exchange(proxy: &Proxy, server: &TcpListener, request: &[u8], reply: &[u8]) -> Vec<u8> {
    let mut client = proxy.connect();
    client.write_all(request).unwrap();
    let (mut at_server, _) = server.accept().unwrap();
    let mut received = vec![0; request.len()];
    at_server.read_exact(&mut received).unwrap();
    assert_eq!(received, request);
    at_server.write_all(reply).unwrap();
    at_server.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(at_server.read(&mut [0]).unwrap(), 0, "the client's end is passed on");
    answer
}

#[test]
fn a_proxy_passes_on_tells_and_keeps() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut proxy = Proxy::before(&server, "frames");
    let request = bytes_of(&capture("24.11/2009_sinfo.hex"));
    let reply = bytes_of(&capture("24.11/2010_sinfo.hex"));
    assert_eq!(exchange(&proxy, &server, &request, &reply), reply);
    let names = kept(&proxy.folder.join("24.11"));
    let expected =
        ["2009_000001_request_partition_info.hex", "2010_000002_response_partition_info.hex"];
    assert_eq!(names, expected);
    let file = proxy.folder.join("24.11").join(expected[1]);
    assert_eq!(bytes_of(file.to_str().unwrap()), reply);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(", answering REQUEST_PARTITION_INFO\n"), "{text}");
    let lines = proxy.printed();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("\"name\":\"REQUEST_PARTITION_INFO\""), "{lines:?}");
    assert!(lines[1].contains("\"name\":\"RESPONSE_PARTITION_INFO\""), "{lines:?}");
}

#[test]
fn a_proxy_follows_a_persistent_connection() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut proxy = Proxy::before(&server, "persistent");
    let hello = b"\0\0\0\x16\x19\x64\x26\0\0\x42\x19\x64\0\0\0\x04\0\0\0\0\0\0body";
    let mut hello = hello.to_vec();
    hello[3] = u8::try_from(hello.len() - 4).unwrap();
    let answer = b"\0\0\0\x03\x05\x99x";
    assert_eq!(exchange(&proxy, &server, &hello, answer), answer);
    let file = proxy.folder.join("22.05/1433_000002_persist_rc.hex");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("# persistent 22.05\n"), "{text}");
    assert_eq!(bytes_of(file.to_str().unwrap()), answer);
    let lines = proxy.printed();
    assert!(lines[1].contains("\"name\":\"PERSIST_RC\""), "{lines:?}");
}

/// What a node sent to Slurm's own srun of 24.11 while two tasks each wrote `hello` and ended.
const CHANNEL: &str = "000000212a000000000000000002000000020000000f66616b65207369676e61747572650000\
    01000000000000000668656c6c6f0a0001000100010000000668656c6c6f0a00020001000100000000000100010001\
    000000000001000000000000000000020000000000000000";
/// What srun sent.
const INPUT: &str = "0003ffffffff0000000668656c6c6f0a0003ffffffff00000000";

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn input_and_output_of_a_step_are_told_with_places() {
    let (code, out, err) = wire(&["decode", "-j", "-o"], CHANNEL.as_bytes());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 7, "{out}");
    for expected in [
        r#""release":"24.11""#,
        r#""node_id":{"at":6,"bytes":4,"value":0}"#,
        r#""stderr_objs":{"at":14,"bytes":4,"value":2}"#,
        r#""io_key":{"at":18,"#,
    ] {
        assert!(lines[0].contains(expected), "{expected} is not in {}", lines[0]);
    }
    let expected = [r#""stream":{"at":0,"bytes":2,"value":"stdout"}"#, r#""gtaskid":{"at":2,"#];
    assert!(expected.iter().all(|part| lines[1].contains(part)), "{}", lines[1]);
    assert!(
        lines[1].contains(r#""payload":{"at":10,"bytes":6,"value":"hello\n"}"#),
        "{}",
        lines[1]
    );
    assert!(lines[3].contains(r#""value":"stderr""#), "{}", lines[3]);
    let (code, out, _) = wire(&["decode", "-j"], &unhex(CHANNEL)[..45]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("damage"), "{out}");
}

#[test]
fn a_proxy_follows_a_steps_input_and_output() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut proxy = Proxy::before(&server, "channel");
    let (output, input) = (unhex(CHANNEL), unhex(INPUT));
    assert_eq!(exchange(&proxy, &server, &output, &input), input);
    let lines = proxy.printed();
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has(r#""io_key":"fake signature""#), "{lines:?}");
    assert!(has(r#""stream":"stdout","gtaskid":1"#), "{lines:?}");
    assert!(has(r#""stream":"allstdin","gtaskid":65535"#), "{lines:?}");
    assert_eq!(lines.len(), 9, "{lines:?}");
}

#[test]
fn a_proxy_passes_on_what_is_no_message() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut proxy = Proxy::before(&server, "raw");
    let noise: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8 | 0x80).collect();
    assert_eq!(exchange(&proxy, &server, b"GET / HTTP/1.1\r\n", &noise), noise);
    assert!(kept(&proxy.folder).is_empty());
    let lines = proxy.printed();
    assert!(lines[0].contains("\"message\":\"16 bytes without messages\""), "{lines:?}");
}
