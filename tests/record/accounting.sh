# The accounting daemon and its clients. Sourced by `ci/record`.
# shellcheck shell=bash

do_ sacctmgr -i add account a1 description=d organization=o parent=root
do_ sacctmgr -i add account a2,a3 parent=a1 fairshare=5 maxjobs=3 grptres=cpu=10
do_ sacctmgr -i add user root account=a2 adminlevel=admin defaultaccount=a2
do_ sacctmgr -i add user nobody,daemon accounts=a1,a2 maxwall=10 partition=main
do_ sacctmgr -i add coordinator account=a1 names=nobody
do_ sacctmgr -i add qos high priority=100 grpjobs=5 maxtrespu=cpu=4 flags=denyonlimit preempt=normal
do_ sacctmgr -i add wckey key user=root
do_ sacctmgr -i add cluster other
do_ sacctmgr -i add resource name=matlab server=s count=10 type=license cluster=capture percentallowed=50
do_ sacctmgr -i add federation fed clusters=other
do_ sacctmgr -i add tres type=license name=x
do_ sacctmgr -i modify account a1 set description=new fairshare=7 maxsubmitjobs=9
do_ sacctmgr -i modify user nobody set maxjobs=1 qos+=high defaultqos=normal
do_ sacctmgr -i modify qos high set priority=7 maxwall=5 usagefactor=2.5
do_ sacctmgr -i modify cluster capture set fairshare=3 features=f
do_ sacctmgr -i modify resource name=matlab server=s set count=20
do_ sacctmgr -i modify federation fed set clusters-=other
do_ sacctmgr -i modify wckey key set defaultwckey=key
do_ sacctmgr -i modify job where jobid=2 set comment=changed
for object in account "account withassoc withcoordinator" association "association tree" cluster \
    "cluster withfed" configuration coordinator event "event all_clusters start=2020-01-01" federation problem \
    qos "qos withdeleted" resource "resource withclusters" runawayjobs reservation stats transaction tres user \
    "user withassoc" wckey instance; do
    # shellcheck disable=SC2086
    do_ sacctmgr -n show $object
done
do_ sacctmgr dump capture file=dump.cfg
do_ sacctmgr -i load file=dump.cfg
do_ sacctmgr -i archive dump directory="$work/run" events jobs steps suspend txn usage purgejobafter=1000d
do_ sacctmgr -i archive load file="$work/run/nothing"
do_ sacctmgr clear stats
do_ sacctmgr reconfigure
do_ sacctmgr ping
do_ sacct -a
do_ sacct -a -l -S 2020-01-01
do_ sacct -j 2
do_ sacct -B -j 2
do_ sacct --env-vars -j 2
do_ sacct --json -a -S now-1hour
do_ sacct -u nobody -s COMPLETED,FAILED -N n1 -q normal -A a1 -W key -S now-1hour
do_ sacct -D -X --name=wrap -r main -k 1 -K 10 -i 1-2 -S now-1hour
do_ sacct -c
do_ sreport cluster utilization start=2020-01-01
do_ sreport cluster accountutilizationbyuser start=2020-01-01
do_ sreport cluster userutilizationbyaccount start=2020-01-01
do_ sreport cluster userutilizationbywckey start=2020-01-01
do_ sreport cluster wckeyutilizationbyuser start=2020-01-01
do_ sreport job sizesbyaccount start=2020-01-01
do_ sreport job sizesbywckey start=2020-01-01
do_ sreport reservation utilization start=2020-01-01
do_ sreport user topusage start=2020-01-01
do_ sreport -T all cluster utilization start=2020-01-01
do_ sinfo -M all
do_ squeue -M all
do_ sbatch -M capture --wrap true
as=nobody do_ setpriv --reuid=65534 --regid=65534 --clear-groups sacctmgr -i add account no
as=nobody do_ setpriv --reuid=65534 --regid=65534 --clear-groups sacct
do_ scontrol -o show assoc_mgr
do_ sshare -a -l -A a1,a2
do_ sacctmgr -i remove coordinator account=a1 names=nobody
do_ sacctmgr -i remove wckey key
do_ sacctmgr -i remove user daemon
do_ sacctmgr -i remove account a3
do_ sacctmgr -i remove qos high
do_ sacctmgr -i remove resource matlab
do_ sacctmgr -i remove federation fed
do_ sacctmgr -i remove cluster other
do_ sacctmgr -i add cluster yet_another fairshare=2 qos=normal
do_ sacctmgr shutdown
