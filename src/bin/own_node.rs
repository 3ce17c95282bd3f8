//! Which node this machine is, what it has, and where it gets its configuration from.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flurm_conf::{Conf, NodeConf, Parameters, Paths};
use flurm_host::configless;
use flurm_node::machine;
use flurm_rt::{Clock, Env, Fs, Net};
use flurm_rt_tokio::Tokio;

use crate::startup;

/// Slurm's own port, where `--conf-server` names none.
const PORT_DEFAULT: u16 = 6817;
/// Tries to get the configuration before the daemon gives up; whoever starts it may start it again.
const FETCH_TRIES_MAX: u32 = 12;
/// Pause between two tries.
const FETCH_PAUSE: Duration = Duration::from_secs(5);
/// Folder below the spool that holds a configuration from a controller.
const CACHE: &str = "conf-cache";

/// The node with this name, or the one with this machine's host name.
pub fn find<'a>(conf: &'a Conf, name: Option<&str>) -> Result<&'a NodeConf, String> {
    if let Some(name) = name {
        return conf.node(name).ok_or_else(|| format!("slurm.conf has no NodeName={name}"));
    }
    let hostname = Tokio::new().hostname();
    let found = conf.nodes.iter().find(|node| short(&node.hostname) == hostname);
    found.ok_or_else(|| format!("slurm.conf has no node with NodeHostname={hostname}"))
}

fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// What this machine has, as `slurmd -C` prints it.
pub fn describe() -> String {
    let text = |path| std::fs::read_to_string(path).unwrap_or_default();
    let env = Tokio::new();
    let name = env.hostname();
    let memory = machine::memory(&text("/proc/meminfo")).total_mib;
    let up = env.clock().monotonic().as_secs();
    let (days, hours) = (up / 86_400, up / 3_600 % 24);
    let (minutes, seconds) = (up / 60 % 60, up % 60);
    let processors = match machine::processors(&text("/proc/cpuinfo")) {
        Some(found) => format!(
            "CPUs={} Boards=1 SocketsPerBoard={} CoresPerSocket={} ThreadsPerCore={}",
            found.cpus, found.sockets, found.cores_per_socket, found.threads_per_core
        ),
        None => "CPUs=1".to_owned(),
    };
    format!(
        "NodeName={name} {processors} RealMemory={memory}\n\
         UpTime={days}-{hours:02}:{minutes:02}:{seconds:02}"
    )
}

/// Gets the configuration from one of the controllers, puts it below the spool and says where.
pub fn fetch_conf(
    servers: &str,
    authinfo: Option<&str>,
    node: Option<&str>,
) -> Result<PathBuf, String> {
    let builder = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = builder.map_err(|error| error.to_string())?;
    let authinfo = Parameters(authinfo.unwrap_or_default().to_owned());
    let mut text = String::new();
    for attempt in 0..FETCH_TRIES_MAX {
        if attempt > 0 {
            eprintln!("flurmd: could not get the configuration: {text}: trying again");
            std::thread::sleep(FETCH_PAUSE);
        }
        match runtime.block_on(fetch_once(servers, authinfo.value("socket"), node)) {
            Ok(path) => return Ok(path),
            Err(error) => text = error,
        }
    }
    Err(format!("could not get the configuration: {text}"))
}

async fn fetch_once(
    servers: &str,
    socket: Option<&str>,
    node: Option<&str>,
) -> Result<PathBuf, String> {
    let env = Tokio::new();
    let own = startup::own();
    let mut text = "no controller is named".to_owned();
    for (host, port) in split_servers(servers)? {
        let addrs = env.net().resolve(&host, port).await;
        for addr in addrs.map_err(|error| format!("{host}: {error}"))? {
            match configless::fetch(env.clone(), addr, &own, socket.map(Path::new)).await {
                Ok(files) => return keep(&env, &files, node).await,
                Err(error) => text = error,
            }
        }
    }
    Err(text)
}

/// `host[:port]` or `[address]:port`, several with commas.
fn split_servers(servers: &str) -> Result<Vec<(String, u16)>, String> {
    let split = |server: &str| {
        if let Ok(addr) = server.parse::<SocketAddr>() {
            return Ok((addr.ip().to_string(), addr.port()));
        }
        match server.split_once(':') {
            Some((host, port)) if !port.contains(':') => {
                let port = port.parse().map_err(|_| format!("{server}: {port} is no port"))?;
                Ok((host.to_owned(), port))
            }
            _ => Ok((server.to_owned(), PORT_DEFAULT)),
        }
    };
    servers.split(',').map(str::trim).filter(|server| !server.is_empty()).map(split).collect()
}

/// Writes the files below the spool of the node that they name, where users may read them.
async fn keep(
    env: &Tokio,
    files: &[configless::File],
    node: Option<&str>,
) -> Result<PathBuf, String> {
    let find_file = |name: &str| {
        let base = name.rsplit('/').next().unwrap_or(name);
        let file = files.iter().find(|file| file.name == base);
        file.map(|file| file.text.clone()).ok_or_else(|| "was not sent".to_owned())
    };
    let conf = flurm_conf::parse(&find_file, "slurm.conf");
    let conf = conf.map_err(|found| crate::conf_files::errors(&found))?;
    let node = find(&conf, node)?;
    let spool = PathBuf::from(Paths::for_node(&conf.paths.slurmd_spool_pattern, node));
    let cache = spool.join(CACHE);
    let failed = |error: std::io::Error| format!("{}: {error}", cache.display());
    env.fs().create_folder(&cache, 0o755).await.map_err(failed)?;
    for file in files {
        let mode = if file.executable { 0o755 } else { 0o644 };
        let path = cache.join(&file.name);
        env.fs().replace(&path, file.text.as_bytes(), mode).await.map_err(failed)?;
    }
    Ok(cache.join("slurm.conf"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_with_and_without_ports() {
        let split = |text: &str| split_servers(text);
        let of = |host: &str, port| (host.to_owned(), port);
        assert_eq!(split("c1").unwrap(), [of("c1", 6817)]);
        assert_eq!(split("c1:7000, 10.0.0.1").unwrap(), [of("c1", 7000), of("10.0.0.1", 6817)]);
        assert_eq!(split("[::1]:7000,::2").unwrap(), [of("::1", 7000), of("::2", 6817)]);
        assert_eq!(split(",").unwrap(), []);
        assert!(split("c1:port").unwrap_err().contains("port is no port"));
    }

    #[test]
    fn this_machine_has_processors_and_memory() {
        let text = describe();
        for word in ["NodeName=", " CPUs=", " RealMemory=", "\nUpTime="] {
            assert!(text.contains(word), "{text}");
        }
        assert!(!text.contains("RealMemory=0"), "{text}");
    }
}
