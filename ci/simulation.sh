# Simulation stages of ci/test, which sources this file: it gives `wanted`, `stage` and the numbers.
# shellcheck shell=bash disable=SC2154

# Fresh seeds differ from commit to commit, and are the same for the same commit.
first_seed="$((16#$(git rev-parse --short=8 HEAD 2> /dev/null || echo 1)))"

# Runs flurm-sim, shows what it says of each scenario, and counts each as one test.
simulated() { # command...
    local shown status
    shown="$("$@")"
    status=$?
    printf '%s\n' "$shown"
    printf '%s\n' "$shown" | awk '
        /^scenarios\/.*: [0-9]+ seeds, / { print "CI: " $0; if (/, 0 failed,/) p++; else f++ }
        /^scenarios\/.* caught / { print "CI: " $0; if (/ not caught /) f++; else p++ }
        /never reached:/ { f++ }
        END { printf "test result: %s. %d passed; %d failed; 0 ignored\n", f ? "FAILED" : "ok", p, f }'
    return "$status"
}

sim_build() { cargo build --profile sim --locked -p flurm-sim; }
sim_fast() {
    simulated "$target/sim/flurm-sim" run scenarios/fast --seeds "$seeds_fast" \
        --first "$first_seed" --jobs 2 --keep-going --reached "$reached"
}
# What is slow, and what breaks seldom, with fewer seeds.
sim_rare() {
    simulated "$target/sim/flurm-sim" run scenarios/slow scenarios/rare --seeds "$seeds_rare" \
        --first "$first_seed" --jobs 2 --keep-going --reached "$reached"
}
sim_light() {
    simulated "$target/sim/flurm-sim" run scenarios/fast/first_job.toml --world light \
        --seeds "$seeds_light" --first "$first_seed" --jobs 2 --keep-going --reached "$reached" \
        && simulated "$target/sim/flurm-sim" run scenarios/fast scenarios/rare --world light \
            --seeds "$seeds_rare" --first "$first_seed" --jobs 2 --keep-going --reached "$reached"
}
# Together the runs above must have reached the rare states that they reach as good as certainly;
# what else has a name and was not reached is shown.
sim_marks() {
    local one=scenarios/fast/tokens_instead_of_munge.toml
    "$target/sim/flurm-sim" run "$one" --seeds 1 --reached "$reached" --marks all \
        | sed -n 's/^never reached by any scenario: /CI: not reached: /p'
    "$target/sim/flurm-sim" run "$one" --seeds 1 --reached "$reached" --marks ci/marks.txt
}
sim_determinism() {
    "$target/sim/flurm-sim" check-determinism scenarios/fast --seeds 5 --first "$first_seed"
}
sim_planted() {
    RUSTFLAGS="--cfg flurm_planted" cargo build --profile sim --locked -p flurm-sim \
        --target-dir "$target/planted" \
        && simulated "$target/planted/sim/flurm-sim" run scenarios/negative --jobs 2 --keep-going
}
sim_judges() {
    RUSTFLAGS="--cfg madsim --cfg tokio_unstable" cargo build --profile sim --locked -p flurm-sim \
        --target-dir "$target/judges" || return
    local engine
    for engine in madsim turmoil; do
        simulated "$target/judges/sim/flurm-sim" run scenarios/fast/first_job.toml \
            --engine "$engine" --seeds "$seeds_judges" --jobs 2 || return
    done
}

wanted simulator && stage simulator sim_build
# Rare states are gathered over stages; running one of them alone goes on from the last run.
reached="$log/reached"
[ "${#chosen[@]}" -eq 0 ] && rm -f "$reached"
wanted simulation && stage simulation sim_fast
wanted rare && stage rare sim_rare
wanted light && stage light sim_light
wanted marks && stage marks sim_marks
wanted determinism && stage determinism sim_determinism
wanted planted && stage planted sim_planted
wanted judges && stage judges sim_judges
