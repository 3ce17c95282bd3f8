# The cluster that `ci/record` records, and its daemons. Sourced by it.
# shellcheck shell=bash disable=SC2154 # set by ci/record

wait_for() { # what, command...
    local what="$1" i
    shift
    for i in $(seq 150); do
        if "$@" > /dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    for log in "$work"/log/*; do tail -n 20 "$log" | cut -c1-300 >&2; done
    die "$what does not come up"
}

write_conf() {
    local cgroup=disabled
    [ "$release" != 22.05 ] || cgroup=cgroup/v1
    head -c 32 /dev/urandom > "$work/jwt.key"
    chmod 600 "$work/jwt.key"
    cat > "$work/slurm.conf" <<CONF
ClusterName=capture
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=6817
SlurmUser=root
AuthType=auth/none
CredType=cred/none
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key=$work/jwt.key
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool/%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
PriorityType=priority/multifactor
PriorityWeightAge=1000
PriorityWeightFairshare=1000
PriorityWeightQOS=1000
DefMemPerCPU=100
ReturnToService=2
SlurmdParameters=config_overrides
SlurmctldParameters=enable_configless
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ScronParameters=enable
MpiDefault=none
KillWait=2
MinJobAge=300
TrackWCKey=yes
PreemptType=preempt/partition_prio
PreemptMode=SUSPEND,GANG
GresTypes=gpu
Licenses=lic:4,matlab:2
TopologyPlugin=topology/tree
BurstBufferType=burst_buffer/lua
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStorageEnforce=associations,qos
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment,job_env,job_extra,job_script
RebootProgram=/bin/true
ResumeProgram=/bin/true
SuspendProgram=/bin/true
SuspendTime=-1
PrologFlags=Alloc
NodeName=n[1-3] NodeHostname=$host NodeAddr=127.0.0.1 Port=[17001-17003] CPUs=4 SocketsPerBoard=2 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=4000 Gres=gpu:2 Feature=fast,big
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=long Nodes=n2 MaxTime=60 PriorityTier=10 DefMemPerCPU=10
PartitionName=hid Nodes=n3 Hidden=YES
CONF
    [ "$release" != 22.05 ] || sed -i '/^AccountingStoreFlags/s/,job_extra//' "$work/slurm.conf"
    echo "CgroupPlugin=$cgroup" > "$work/cgroup.conf"
    echo 'NodeName=n[1-3] Name=gpu File=/dev/null,/dev/zero' > "$work/gres.conf"
    printf 'SwitchName=s1 Nodes=n[1-2]\nSwitchName=s2 Nodes=n3\nSwitchName=top Switches=s[1-2]\n' \
        > "$work/topology.conf"
    echo 'Flags=disable_persistent' > "$work/burst_buffer.conf"
    local call
    for call in slurm_bb_job_process slurm_bb_setup slurm_bb_data_in slurm_bb_test_data_in \
        slurm_bb_real_size slurm_bb_paths slurm_bb_pre_run slurm_bb_post_run slurm_bb_data_out \
        slurm_bb_test_data_out slurm_bb_job_teardown slurm_bb_get_status; do
        printf 'function %s(...)\n  return slurm.SUCCESS, ""\nend\n' "$call"
    done > "$work/burst_buffer.lua"
    printf 'function slurm_bb_pools()\n  return slurm.SUCCESS, [[{"pools":[{"id":"p1","quantity":100,"granularity":1}]}]]\nend\n' \
        >> "$work/burst_buffer.lua"
    cat > "$work/slurmdbd.conf" <<CONF
AuthType=auth/none
DbdHost=localhost
DbdAddr=127.0.0.1
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
PidFile=$work/slurmdbd.pid
LogFile=$work/log/slurmdbd
TrackWCKey=yes
ArchiveDir=$work/run
CommunicationParameters=NoInAddrAny
CONF
    chmod 600 "$work/slurmdbd.conf"
}

# A second controller and what only `rest` needs.
widen_conf() {
    local conf="$work/slurm.conf"
    sed -i -e '/^SlurmctldHost=/a SlurmctldHost=second(127.0.0.2)' \
        -e 's/^PrologFlags=.*/PrologFlags=Alloc,Contain/' "$conf"
    sed -i 's/^PreemptMode=.*/PreemptMode=CANCEL/' "$conf"
    # Programs without a configuration know no other way than munge.
    sed -i 's|^AuthAltTypes=.*|AuthAltTypes=auth/jwt,auth/munge|' "$conf"
    head -c 1024 /dev/urandom > "$work/munge.key"
    mkdir -p /run/munge
    mount -t tmpfs munge /run/munge
    chmod 755 /run/munge
    chmod 600 "$work/munge.key"
    munged --force --key-file="$work/munge.key" --socket=/run/munge/munge.socket.2 \
        --pid-file=/run/munge/pid --log-file=/run/munge/log --seed-file=/run/munge/seed
    [ "$release" = 22.05 ] || sed -i 's/^\(SlurmctldParameters=.*\)/\1,enable_stepmgr/' "$conf"
    [ "$release" != 26.05 ] \
        || sed -i 's/^\(SlurmctldParameters=.*\)/\1,health_check_report/' "$conf"
    cat >> "$conf" <<CONF
HealthCheckProgram=/bin/true
HealthCheckInterval=5
InactiveLimit=9
SlurmctldTimeout=10
PartitionName=low Nodes=ALL PriorityTier=1 PreemptMode=CANCEL GraceTime=0
PartitionName=high Nodes=ALL PriorityTier=9
CONF
}

start_database() {
    mariadb-install-db --no-defaults --user=root --datadir="$work/db" \
        --auth-root-authentication-method=normal --skip-test-db > "$work/log/db-install" 2>&1
    printf '%s\n' "CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';" \
        "CREATE USER slurm@localhost IDENTIFIED BY 'slurm';" \
        "GRANT ALL ON *.* TO slurm@'127.0.0.1';" "GRANT ALL ON *.* TO slurm@localhost;" \
        > "$work/init.sql"
    mariadbd --no-defaults --user=root --datadir="$work/db" --socket="$work/db.sock" \
        --bind-address=127.0.0.1 --port=3306 --pid-file="$work/db.pid" --init-file="$work/init.sql" \
        --innodb-buffer-pool-size=128M --innodb-lock-wait-timeout=900 \
        > "$work/log/mariadbd" 2>&1 &
    wait_for mariadbd test -S "$work/db.sock"
}

daemon() { # name, arguments...
    local name="$1"
    shift
    (cd / && of_release env SLURM_CONF="$work/slurm.conf" "$name" -D "$@" \
        >> "$work/log/$name.out" 2>&1) &
}

id() { # number of the last job
    answers squeue -h -o %A -t all --sort=-i 2> /dev/null | head -1
}

answers() { of_release env SLURM_CONF="$work/slurm.conf" "$@"; }

start_daemons() {
    echo "slurmdbd starts" > "$note"
    daemon slurmdbd
    wait_for slurmdbd answers sacctmgr -n show cluster
    echo "sacctmgr add cluster capture" > "$note"
    answers sacctmgr -i add cluster capture > /dev/null 2>&1 || true
    answers sacctmgr -i add account root_ac cluster=capture > /dev/null 2>&1 || true
    answers sacctmgr -i add user nobody account=root_ac > /dev/null 2>&1 || true
    echo "slurmctld starts" > "$note"
    daemon slurmctld -v
    wait_for slurmctld answers scontrol ping
    echo "slurmd starts" > "$note"
    local n
    for n in 1 2 3; do
        mkdir -p "$work/spool/n$n"
        daemon slurmd -N "n$n"
    done
    wait_for "node n3" sh -c "$(declare -f of_release answers); root='$root' here='$here' work='$work'; \
        answers sinfo -h -N -p main -o %T | grep -c idle | grep -q 3"
}

stop_daemons() {
    echo "slurmctld ends" > "$note"
    answers scontrol shutdown > /dev/null 2>&1 || true
    sleep 2
}
