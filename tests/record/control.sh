# Questions and changes to a controller and to nodes. Sourced by `ci/record`.
# shellcheck shell=bash

more=""
do_ sbatch -w n2 --wrap "sleep 60"
job="$(id)"
for object in job node partition config daemons reservation licenses topology bbstat burstbuffer \
    dwstat federation frontend hostnames assoc_mgr aliases steps slurmd "assoc_mgr users=root flags=users" \
    "assoc_mgr flags=assoc" "assoc_mgr flags=qos" "job $job" "node n1" "partition long" \
    "topology s1" "topoconf" "hidden"; do
    # shellcheck disable=SC2086
    do_ scontrol -o show $object
done
do_ scontrol -d show job "$job"
do_ scontrol -a show partition
do_ scontrol -F show node
do_ scontrol show hostlist n1,n2,n3
do_ scontrol show hostlistsorted n3,n1
do_ scontrol ping
do_ scontrol version
do_ scontrol getaddrs "n[1-2]"
do_ scontrol setdebug verbose
do_ scontrol setdebug info nodes=n1
do_ scontrol setdebugflags +backfill
do_ scontrol setdebugflags -backfill nodes=n1
do_ scontrol schedloglevel enable
do_ scontrol token lifespan=60
do_ scontrol token username=nobody
do_ scontrol fsdampeningfactor 3
do_ scontrol completing
do_ scontrol errnumstr 2000
do_ scontrol uhold "$job"
do_ scontrol pidinfo 1
do_ scontrol update nodename=n1 state=drain reason=test
do_ scontrol update nodename=n1 state=resume
do_ scontrol update nodename=n1 weight=3 features=fast,new comment=c extra=e
do_ scontrol update nodename=n1 gres=gpu:2 cpubind=none
do_ scontrol update nodename=n3 state=down reason=test
do_ scontrol update nodename=n3 state=resume
do_ scontrol update nodename=n3 state=power_down
do_ scontrol update nodename=n3 state=power_up
do_ scontrol update nodename=n3 state=resume
do_ scontrol power down n3
do_ scontrol power up n3
do_ scontrol cancel_reboot n3
do_ scontrol reboot nextstate=resume reason=why n3
do_ scontrol cancel_reboot n3
do_ scontrol create nodename=n9 cpus=1 state=future
do_ scontrol create nodename=n8 cpus=1 state=cloud
do_ scontrol delete nodename=n8
do_ scontrol create partitionname=extra nodes=n1 maxtime=10 allowaccounts=root
do_ scontrol update partitionname=extra state=drain priorityjobfactor=2 qos=normal
do_ scontrol update partition=extra nodes=n1,n2 maxmempercpu=100
do_ scontrol delete partitionname=extra
do_ scontrol create reservation reservationname=r1 starttime=now+1hour duration=30 nodes=n1 users=root flags=maint,ignore_jobs
do_ scontrol create reservation starttime=now+2hour duration=10 corecnt=1 accounts=root licenses=lic:1
do_ scontrol create reservation reservationname=r2 starttime=now duration=5 nodecnt=1 users=root,nobody flags=flex
do_ scontrol update reservationname=r1 duration=60 comment=x
do_ scontrol update reservationname=r1 skip
do_ scontrol show reservation
do_ sbatch --reservation=r2 --wrap true
do_ sinfo -T
do_ scontrol delete reservationname=r1
do_ scontrol delete reservationname=nothing
do_ scontrol create reservation reservationname=fl starttime=now duration=2 nodes=n1 users=root flags=flex,magnetic,replace_down
do_ scontrol update jobid="$job" nice=5 wckey=key2 qos=normal deadline=now+2hour
do_ scontrol update jobid="$job" partition=main,long numcpus=1 requeue=0
do_ scontrol update jobid="$job" dependency=singleton licenses=lic:1 features=big gres=gpu:1
do_ scontrol update suspendexcnodes=n1
do_ scontrol update suspendexcparts=long
do_ scontrol update suspendexcstates+=DRAIN
do_ scontrol wait_job "$job"
do_ sinfo
do_ sinfo -a -N -l
do_ sinfo -R
do_ sinfo -s
do_ sinfo -O all
do_ sinfo --json
do_ sinfo -M capture
do_ sinfo -t idle -p long
do_ squeue -o "%all"
do_ squeue --json
do_ squeue -O all
do_ squeue --start
do_ squeue -j "$job"
do_ squeue -u root -t all
do_ squeue -M capture
do_ squeue --only-job-state
do_ squeue -w n1 -l
do_ sdiag
do_ sdiag -r
do_ sdiag --json
do_ sprio -l
do_ sprio -w
do_ sprio -j "$job"
do_ sshare -a -l
do_ sshare -U -u root
do_ sshare -A root_ac
do_ strigger --set -n n1 -d -p /bin/true
do_ strigger --set --job="$job" --fini -p /bin/true
do_ strigger --set --primary_slurmctld_failure -p /bin/true
do_ strigger --get
do_ strigger --clear --user=root
do_ scontrol reconfigure
sleep 2
conf=/nonexistent more="SLURM_CONF_SERVER=127.0.0.1:6817" do_ sinfo
conf=/nonexistent more="SLURM_CONF_SERVER=127.0.0.1:6817" do_ squeue
daemon slurmd -N n1 --conf-server 127.0.0.1:6817
SLURM_CONF='' do_ scontrol show config
as=nobody do_ setpriv --reuid=65534 --regid=65534 --clear-groups squeue
as=nobody do_ setpriv --reuid=65534 --regid=65534 --clear-groups scontrol update nodename=n1 state=down
as=nobody do_ setpriv --reuid=65534 --regid=65534 --clear-groups scontrol show assoc_mgr
as=nobody do_ setpriv --reuid=65534 --regid=65534 --clear-groups scontrol token
do_ scontrol update nodename=n2 state=fail reason=x
do_ scontrol update nodename=n2 state=resume
do_ scancel "$job"
do_ scontrol takeover
