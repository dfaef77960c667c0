"""Gemm and MatMul."""

from __future__ import annotations

import tensorflow as tf

from edgefleet_compiler.finetune.child.held import Held
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import integer, real


def _gemm(site: Site) -> list[Held]:
    node = site.node
    if integer(node, "transA", 0) or site.operand(1).is_activation:
        site.refuse("its batch is not the first axis of its first operand alone")
    product = tf.matmul(site.plain(), site.plain(1), transpose_b=bool(integer(node, "transB", 0)))
    alpha, beta = real(node, "alpha", 1.0), real(node, "beta", 1.0)
    if alpha != 1.0:
        product *= alpha
    if site.has(2):
        bias = site.plain(2)
        product += bias if beta == 1.0 else beta * bias
    return [Held(product)]


def _matmul(site: Site) -> list[Held]:
    first, second = site.operand(0), site.operand(1)
    rank = len(site.given)
    if second.is_activation and (len(second.shape) < 3 or len(second.shape) != rank):
        site.refuse("its second operand has the batch among its rows")
    if first.is_activation and len(first.shape) != rank:
        site.refuse("its operands have unlike ranks, of which one has the batch elsewhere")
    return [Held(tf.matmul(first.held.plain, second.held.plain))]


FAMILY = {"Gemm": _gemm, "MatMul": _matmul}
