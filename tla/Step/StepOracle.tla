----------------------------- MODULE StepOracle -----------------------------
(* One step of a simulation: from the job before to the job after, by the command `cmd`. *)
EXTENDS Step

VARIABLE cmd

Allowed == Permits(cmd)
=============================================================================
