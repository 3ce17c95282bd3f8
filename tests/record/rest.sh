# What needs another controller, another cluster or Slurm's library itself. Sourced by `ci/record`.
# shellcheck shell=bash disable=SC2154 # set by ci/record

library="$(find "$root/usr/lib" -name libslurmfull.so | head -1)"
library="${library#"$root"}"
cc -O1 -o "$work/ask" "$here/tests/record/ask.c" -ldl 2> "$work/log/cc" || true
ask() { do_ "$work/ask" "$library" "$@"; }
more=""

# One that waits for its time to run out, and is pinged while it does.
(printf 'salloc ends by its limit\n' > "$note"; cd "$work/run" && of_release env \
    SLURM_CONF="$work/slurm.conf" timeout 110 salloc -t 1 -n1 --mem=1 sleep 100 > /dev/null 2>&1) &

do_ sbatch -w n2 --mem=10 --wrap "srun sleep 300"
job="$(id)"
sleep 2
ask job_user 0
ask node n1
ask end_time "$job"
ask allocation "$job"
ask energy n1
ask pull_trigger
ask hostlist "n[1-2]"
ask forward n1
do_ sstat -i -j "$job.0"
do_ scontrol show resources "$job"
do_ scontrol show step container-id=nothing
do_ scontrol update frontendname=none state=down reason=why
do_ srun -n1 --mem=10 sh -c 'scontrol pidinfo $$'
do_ sbcast -Z -w n1 job.sh /tmp/flurm-sbcast-none
limit=4
for kind in accounts users associations wckeys usage remove_wckeys; do ask "$kind"; done
limit=20
do_ sacctmgr -i rollup now-1hour now
do_ sacctmgr -i modify user nobody set adminlevel=operator
do_ sacctmgr -i add user daemon account=root_ac
do_ sacctmgr -i add account second
do_ sacctmgr -i add user daemon account=second
do_ sacctmgr -i remove user daemon where account=second
do_ scontrol create reservation reservationname=mod starttime=now duration=30 nodes=n1 users=root
sleep 1
do_ scontrol update reservationname=mod duration=60
sleep 1
do_ scontrol update reservationname=mod users=root,nobody
do_ scontrol suspend "$job"
sleep 1
do_ scontrol resume "$job"
do_ scontrol delete reservationname=mod
cat > "$work/run/munge_only" <<'ONLY'
#!/bin/sh
unset SLURM_CONF
SLURM_CONF_SERVER=127.0.0.1:6817 exec "$@"
ONLY
chmod 755 "$work/run/munge_only"
do_ ./munge_only sinfo
do_ sacct --env-vars -j "$job"
printf '#SCRON --time=1\n0 4 * * * /bin/true\n' > "$work/run/cron"
do_ scrontab cron
do_ scrontab -l
do_ scrontab -r

# A job whose nodes shrink while its own step manager has steps.
if [ "$release" != 22.05 ]; then
    do_ sbatch --stepmgr -N2 -w n1,n3 --mem=10 --wrap "srun -N2 sleep 200"
    managed="$(id)"
    sleep 3
    do_ scontrol update jobid="$managed" numnodes=1
    sleep 2
    do_ scancel "$managed"
fi
# One whose node fails before it ends.
do_ sbatch -p low -w n3 -n4 --mem=10 --wrap "sleep 200"
sleep 2
do_ sbatch -p high -w n3 -n4 --mem=10 --wrap "sleep 1"
sleep 3

# Where requests of old commands end: a login node's keeper of keys.
if [ "$release" != 22.05 ]; then
    of_release env -u SLURM_CONF RUNTIME_DIRECTORY="$work/run/sackd" \
        sh -c "mkdir -p $work/run/sackd; exec timeout 60 sackd -D --conf-server 127.0.0.1:6817" \
        > "$work/log/sackd.out" 2>&1 &
    sleep 3
    do_ scontrol reconfigure
    sleep 3
fi

# The accounting daemon comes back and asks every cluster to register.
echo "slurmdbd starts again" > "$note"
old="$(cat "$work/slurmdbd.pid")"
kill -9 "$old" || true
for _ in $(seq 20); do kill -0 "$old" 2> /dev/null || break; sleep 1; done
daemon slurmdbd
sleep 12

# A second controller, on a machine of another name.
echo "a backup controller starts" > "$note"
unshare --uts sh -c "hostname second; exec \"\$@\"" sh env SLURM_CONF="$work/slurm.conf" \
    ${root:+"$here/ci/side-root" --run "$root"} slurmctld -D > "$work/log/backup.out" 2>&1 &
sleep 6
do_ scontrol ping
do_ scontrol takeover 1
sleep 6
echo "the primary controller starts again" > "$note"
daemon slurmctld -v
sleep 8

# Nobody remembers the job: nodes are told to end it, and accounting has it as running.
echo "a controller starts clean" > "$note"
answers scontrol shutdown slurmctld > /dev/null 2>&1 || answers scontrol shutdown controller > /dev/null 2>&1 || true
sleep 4
kill "$(cat "$work/slurmctld.pid")" 2> /dev/null || true
sleep 2
rm -rf "$work/state" && mkdir "$work/state"
daemon slurmctld -c -v
sleep 12
do_ scontrol update nodename=ALL state=resume
echo "sacctmgr -i show runawayjobs" > "$note"
(cd / && yes | of_release env SLURM_CONF="$work/slurm.conf" timeout 10 sacctmgr show runawayjobs \
    > "$work/log/runaway.out" 2>&1) || true
wait_for_end=$((SECONDS + ${rest_wait:-5}))
while [ "$SECONDS" -lt "$wait_for_end" ]; do sleep 1; done
