//! Output: judges that what a job wrote is in its file.

use super::Oracle;
use crate::world::Nanos;
use crate::world::history::{Effect, History};

/// A job's output file holds what its processes wrote on that machine, all of it, in order, over all
/// attempts. A machine that lost power is not judged: jobs do not sync. Source: `--output` and
/// `--open-mode` in sbatch(1), `JobFileAppend` in slurm.conf(5).
pub(super) struct OutputIsWhole;

impl Oracle for OutputIsWhole {
    const NAME: &'static str = "output_is_whole";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        for (at, effect) in history.effects() {
            let Effect::OutputRead { machine, path, written, found } = effect else { continue };
            if written != found {
                let (machine, path) = (history.machine_name(*machine), path.display());
                let (wrote, has) = (written.len, found.len);
                let text =
                    format!("{path} on {machine} has {has} bytes, not the {wrote} that were written");
                return Err((*at, text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::invented::Tale;
    use super::*;
    use crate::world::MachineId;
    use crate::world::history::Content;

    fn read(found: &[u8]) -> String {
        let (machine, path) = (MachineId(1), "/home/slurm-7.out".into());
        let (written, found) = (Content::of(b"hello"), Content::of(found));
        let tale = Tale::new().then(Effect::OutputRead { machine, path, written, found });
        tale.verdict::<OutputIsWhole>()
    }

    #[test]
    fn every_byte_counts() {
        assert_eq!(read(b"hello"), "fine");
        let short = "/home/slurm-7.out on n1 has 4 bytes, not the 5 that were written";
        assert_eq!(read(b"hell"), short);
        assert!(read(b"hallo").contains("has 5 bytes, not the 5"));
    }
}
