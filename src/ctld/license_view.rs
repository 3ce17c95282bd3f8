//! Licences as `scontrol show licenses` shows them.

use flurm_wire::records::{LicenseInfo, LicenseInfoMsg};
use flurm_wire::{Message, UnixTime};

use crate::tables::Tables;

impl Tables<'_> {
    /// All of them.
    pub(crate) fn licenses(&self) -> Message {
        let license = |one: flurm_model::License<'_>| LicenseInfo {
            name: Some(one.name.to_owned()),
            total: one.total,
            in_use: one.used,
            reserved: 0,
            remote: 0,
            last_consumed: 0,
            last_deficit: 0,
            last_update: UnixTime(0),
            mode: 0,
            nodes: None,
        };
        let last_update = UnixTime(self.now.secs());
        let licenses = self.cluster.licenses().map(license).collect();
        Message::ResponseLicenseInfo(LicenseInfoMsg { last_update, licenses })
    }
}
