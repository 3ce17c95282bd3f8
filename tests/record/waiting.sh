# Steps that wait for others, and what is asked about them. Sourced by `ci/record`.
# shellcheck shell=bash disable=SC2154,SC2034 # set by ci/record, read by it

more=""
library="$(find "$root/usr/lib" -name libslurmfull.so | head -1)"
library="${library#"$root"}"
cc -O1 -o "$work/ask" "$here/tests/record/ask.c" -ldl 2> "$work/log/cc" || true
echo hello > "$work/run/greeting"

# The second step waits for the only processor, and its srun is told when that is free.
do_ sbatch -n1 -w n2 --mem=10 --wrap "srun -n1 --mem=10 sleep 8 & sleep 1; srun -n1 --mem=10 sleep 1; wait"
waiting="$(id)"
sleep 3
pids=pids
[ "$release" != 22.05 ] || pids=pids_without_sluid
do_ "$work/ask" "$library" "$pids" "$waiting"
do_ "$work/ask" "$library" allocation "$waiting"
cat > "$work/run/munge_only" <<'ONLY'
#!/bin/sh
unset SLURM_CONF
SLURM_CONF_SERVER=127.0.0.1:6817 exec "$@"
ONLY
chmod 755 "$work/run/munge_only"
do_ ./munge_only sinfo
do_ sbcast --no-allocation --nodelist=n1 greeting /tmp/flurm-sbcast-none
do_ scontrol show step containerid=nothing
if [ "$release" = 26.05 ]; then
    do_ sbatch --stepmgr -N1 -w n1 --mem=20 \
        --wrap "srun -n1 --mem=10 sleep 4 & sleep 1; swait --timeout=20; wait"
fi
# A controller that stands by asks the first one how it is.
echo "a controller stands by" > "$note"
unshare --uts sh -c "hostname second; exec \"\$@\"" sh env SLURM_CONF="$work/slurm.conf" \
    ${root:+"$here/ci/side-root" --run "$root"} slurmctld -D -v > "$work/log/backup.out" 2>&1 &
sleep 15
