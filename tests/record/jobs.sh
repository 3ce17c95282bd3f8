# Submissions, steps, signals. Sourced by `ci/record`.
# shellcheck shell=bash

cat > "$work/run/job.sh" <<'JOB'
#!/bin/sh
#SBATCH --comment=hi
srun -n1 true
sleep ${1:-2}
JOB
chmod 755 "$work/run/job.sh"
chmod -R a+rwX "$work/run"

do_ sbatch job.sh 30
running="$(id)"
sleep 1
do_ squeue
do_ squeue -s
do_ scontrol show steps
do_ scontrol show step "$running.batch"
do_ sstat -j "$running.batch"
do_ sstat -a -j "$running"
do_ sstat --pids -j "$running"
do_ scontrol listpids "$running" n1
do_ scontrol suspend "$running"
do_ scontrol resume "$running"
do_ scontrol notify "$running" "hello there"
do_ scontrol top "$running"
do_ scontrol write batch_script "$running" -
do_ scontrol update jobid="$running" timelimit=5
do_ scontrol update jobid="$running" name=other comment=new
do_ scontrol requeue "$running"
do_ scontrol hold "$running"
do_ scontrol release "$running"
do_ scontrol requeuehold "$running"
do_ scancel "$running"

do_ sbatch -H --array=1-6%2 --mail-type=ALL --mail-user=me@x --wrap "sleep 1"
array="$(id)"
do_ scontrol hold "${array}_3"
do_ scontrol release "${array}_3"
do_ scontrol update jobid="${array}_4" priority=7
do_ scontrol show job "$array"
do_ squeue -r
do_ scancel "${array}_[2-3]"
do_ scontrol release "$array"
do_ scancel --state=PENDING --name=wrap
do_ scancel --ctld "$array"
do_ sbatch -n 3 -N 1-2 --exclusive --constraint="fast&big" --wrap "sleep 3"
do_ sbatch --gres=gpu:1 --gres-flags=enforce-binding -c 2 --wrap "srun --gres=gpu:1 sleep 2"
do_ sbatch --gpus=2 --gpus-per-node=2 --cpus-per-gpu=1 --mem-per-gpu=10 --wrap "srun sleep 1"
do_ sbatch -L lic:2,matlab:1 --time-min=1 -t 10 --wrap "sleep 2"
do_ sbatch --dependency=singleton --job-name=one --wrap "sleep 1"
do_ sbatch --dependency="afterok:$running" --kill-on-invalid-dep=yes --wrap true
do_ sbatch --begin=now+1hour --deadline=now+3hours --nice=10 --wrap true
do_ sbatch --requeue --open-mode=append -o o -e e -i /dev/null --signal=B:USR1@5 --wrap "sleep 1"
do_ sbatch --export=NONE --get-user-env --uid=nobody --chdir=/tmp --wrap true
do_ sbatch --bb="#BB pool=p1 capacity=1" --wrap true
do_ sbatch --bb="capacity=2" --wrap true
do_ sbatch --profile=task --acctg-freq=5 --hint=nomultithread -m block:cyclic --wrap true
do_ sbatch --wckey=key --qos=normal --account=root_ac --wrap true
do_ sbatch --switches=1@10 --spread-job --overcommit --core-spec=1 --wrap true
do_ sbatch --distribution=plane=2 --ntasks-per-node=2 --mem-bind=local --tmp=1 --wrap true
do_ sbatch --power=level --propagate=NOFILE --mem=20 --nodelist=n2 --exclude=n3 --wrap "sleep 1"
do_ sbatch --test-only --wrap true
do_ sbatch -p nowhere --wrap true
do_ sbatch --het-group=0 --mem=10 -n1 : --mem=20 -n2 job.sh 2
do_ sbatch --prefer=fast --extra=word --wrap true
do_ sbatch -W --wrap "exit 3"
do_ sbatch -a 1-2 --parsable --wrap true
as=nobody do_ setpriv --reuid=65534 --regid=65534 --clear-groups sbatch -o /dev/null --wrap "sleep 1"

do_ srun -n1 hostname
do_ srun -n2 -N2 --label sh -c "echo out; echo err >&2; cat"
do_ srun -n1 --mpi=none --cpu-bind=none --mem=10 env
do_ srun -n1 false
do_ srun -n2 sh -c 'kill -9 $$'
do_ srun -n1 --pty true
do_ srun -n1 -o /dev/null -e /dev/null --input=none --unbuffered true
do_ srun -n1 --multi-prog /dev/null
do_ srun -N1 : -n2 true
do_ srun --time=1 --gres=gpu:1 -c2 --exact true
do_ srun -n1 --bcast=/tmp/flurm-bcast sh -c true
do_ srun -n2 --kill-on-bad-exit=1 --wait=1 sh -c 'test $SLURM_PROCID = 0 && exit 1; sleep 5'
do_ srun -n1 --network=x --slurmd-debug=verbose true
do_ srun --test-only -n1 true
do_ srun --jobid=999999 true
do_ salloc -n2 -N2 sh -c "srun true; srun --overlap -n1 true; sbcast job.sh /tmp/flurm-sbcast; squeue -s; srun -n1 --overlap scontrol show steps"
do_ salloc --no-shell -n1
do_ scancel -u root -t running
do_ salloc --immediate=1 -w n1 --mem=999999 true
do_ salloc -n1 : -n1 srun --het-group=0,1 true
do_ salloc -n1 --gres=gpu:2 --licenses=lic sh -c 'sleep 1; scontrol show job $SLURM_JOB_ID'
limit=4 do_ srun -n1 --signal=USR1@50 sleep 30

do_ sbatch --wrap "srun sleep 20"
steps="$(id)"
sleep 1
limit=3 do_ sattach "$steps.0"
do_ sattach --layout "$steps.0"
do_ sstat -j "$steps.0"
do_ scontrol show step "$steps.0"
do_ scontrol listpids "$steps.0"
do_ scontrol update stepid="$steps.0" timelimit=3
do_ srun --jobid="$steps" --overlap hostname
do_ scancel -s USR1 "$steps.0"
do_ scancel -s USR2 -b "$steps"
do_ scancel -f -s CONT "$steps"
do_ scancel "$steps.0"
do_ scancel -H "$steps"
do_ scancel -i -u nobody
do_ scancel -w n1
do_ scancel -p long -A root_ac --wckey=key -q normal
do_ scancel --me
do_ scancel 424242

printf '#SCRON --time=1\n0 4 * * * /bin/true\n' > "$work/run/cron"
do_ scrontab cron
do_ scrontab -l
do_ scrontab -r
