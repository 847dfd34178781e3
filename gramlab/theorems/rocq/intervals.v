(** The tactic [interval] with floating-point numbers made of integers: by its own, which are those
    of the machine, a proof would rest on axioms about these. *)

From Coq Require Import Reals.
From Interval Require Import Tactic Tactics.Interval_helper.
From Interval Require Import Float.Specific_stdz Float.Specific_ops Interval.Float_full.

Module Floats := SpecificFloat StdZRadix2.
Module Intervals := FloatIntervalFull Floats.
Module Bounds := IntervalTacticAux Intervals.

(** Proves a bound on an expression of numbers, to 40 bits. *)
Ltac bounded :=
  match Private.do_interval_parse (@nil interval_tac_parameters) 15%nat with
  | (?variables, ?bisected, _, ?degree, ?depth, ?native, ?nocheck, ?method, _) =>
      let bits := eval vm_compute in (Floats.PtoP 40%positive) in
      Bounds.do_interval variables bisected bits degree depth native nocheck method
  end.
