"""Rollouts: plans in stages, the policy that moves them, and the assignments that devices obey."""
