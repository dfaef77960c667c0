"""Rechecking a certificate of lossless pruning against the file that it refers to, without searching.

One pass forwards recomputes what each channel can hold, and each fact claimed must be among it. One look at each
operator shows that none that stays reads a channel that went. Then the channels are taken out, and what is left must
be the artifact. Last, the certificate must be the one that these facts make, byte by byte.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from edgefleet_compiler.exports import kept_graph
from edgefleet_compiler.importers.tflite_quantised import import_quantised
from edgefleet_compiler.lossless.certificate import VERSION, Certificate, certify
from edgefleet_compiler.lossless.channels import Structure, channels, structure_of
from edgefleet_compiler.lossless.folding import must_stay
from edgefleet_compiler.lossless.intervals import Intervals, intervals_of
from edgefleet_compiler.lossless.kernels import kernels_of
from edgefleet_compiler.lossless.prune import values_read
from edgefleet_compiler.lossless.removal import Removal, without_channels, zero_point_of
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract import canonical
from edgefleet_contract.errors import CertificateRefused, ModelMalformed

_LIMIT = 16 * 1024 * 1024  # bytes of a certificate


def verify_certificate(whole: bytes, artifact: bytes, certificate: bytes) -> Certificate:
    """Recheck every claim of a certificate.

    Args:
        whole: The file that it refers to, with all channels.
        artifact: The file without those that were removed.
        certificate: Its bytes.

    Returns:
        The certificate, whose claims hold.

    Raises:
        CertificateRefused: A claim does not hold, or one of the three is not what it was.
    """
    claimed = _decoded(certificate)
    _check_digest(whole, claimed.whole_sha256, f"The file given is not the {_NAMES[claimed.refers_to]}")
    _check_digest(artifact, claimed.artifact_sha256, "The artifact is not the one that the certificate was made for")
    graph = _graph_of(whole, claimed)
    structure = structure_of(graph)
    intervals = intervals_of(graph, structure)
    removal = _removal(graph, claimed)
    _check_bound(graph, structure, removal)
    _check_unread(graph, structure, intervals, removal)
    smaller = without_channels(graph, structure, removal)
    if write_tflite(smaller) != _rewritten(artifact):
        _refuse("Without the channels that the certificate names, the model is not the artifact")
    facts = Removal(removal.kept, values_read(structure, intervals, removal.kept))
    expected = certify(
        graph, facts, artifact, refers_to=claimed.refers_to, whole_sha256=claimed.whole_sha256, io=claimed.io
    )
    if canonical.encode(expected) != certificate:
        _refuse("The certificate claims something else than what its facts make")
    return claimed


_NAMES = {"source": "source that the certificate refers to", "unpruned": "unpruned file that the certificate refers to"}


def decode_certificate(data: bytes) -> Certificate:
    """Read a certificate.

    Raises:
        CertificateRefused: It is none.
    """
    claimed = canonical.decode(data, Certificate, what="certificate", limit=_LIMIT, error=CertificateRefused)
    if claimed.v != VERSION:
        _refuse(f"The certificate has version {claimed.v}")
    return claimed


def _decoded(data: bytes) -> Certificate:
    claimed = decode_certificate(data)
    if claimed.refers_to == "unpruned" and claimed.io != "source":
        _refuse(f"The certificate of an unpruned file says io {claimed.io!r}")
    return claimed


def _check_digest(data: bytes, claimed: str, seen: str) -> None:
    digest = canonical.sha256(data)
    if digest != claimed:
        raise CertificateRefused(seen, expected=f"SHA-256 {claimed}, and it is {digest}")


def _graph_of(whole: bytes, claimed: Certificate) -> LoweredGraph:
    """The graph that channels were removed from."""
    try:
        graph = read_tflite(whole)
        return kept_graph(import_quantised(graph), claimed.io) if claimed.refers_to == "source" else graph
    except ModelMalformed as cause:
        raise CertificateRefused(f"The file that the certificate refers to is no quantised model: {cause}") from cause


def _removal(graph: LoweredGraph, claimed: Certificate) -> Removal:
    """What the certificate says went."""
    kept, values = {}, {}
    for entry in claimed.removed:
        if not 0 <= entry.operator < len(graph.operators):
            _refuse(f"The certificate names operator {entry.operator}, and there are {len(graph.operators)}")
        name = graph.operators[entry.operator].outputs[0]
        gone = [channel for channel, _ in entry.constant] + entry.unread
        count = channels(graph, name)
        if name in kept or not set(gone) < set(range(count)) or len(set(gone)) != len(gone):
            _refuse(
                f"Operator {entry.operator} has {count} channels, and the certificate removes others, one twice, or all"
            )
        kept[name] = ~np.isin(np.arange(count), gone)
        if entry.constant:
            values[name] = dict(entry.constant)
    return Removal(kept, values)


def _check_bound(graph: LoweredGraph, structure: Structure, removal: Removal) -> None:
    """No channel goes without those that are bound to it, nor one that is read as a whole."""
    for name in structure.whole:
        if name in removal.kept:
            _refuse(f"The certificate removes channels of {name!r}, which is read as a whole")
    for position, ties in structure.ties.items():
        output = graph.operators[position].outputs[0]
        for tie in ties:
            if (removal.mask(graph, tie.name)[tie.before] != removal.mask(graph, output)[tie.after]).any():
                _refuse(f"The certificate removes other channels of {tie.name!r} than of {output!r}, made of it")


def _check_unread(graph: LoweredGraph, structure: Structure, intervals: Intervals, removal: Removal) -> None:
    """What went is constant as claimed or multiplied by no layer, and kernels compute the rest as before."""
    for name, values in removal.values.items():
        interval = intervals.get(name)
        if interval is None:
            _refuse(f"The certificate says what {name!r} holds, which is not in int8")
        for channel, value in values.items():
            low, high = int(interval.low[channel]), int(interval.high[channel])
            if not low == high == value:
                _refuse(f"Channel {channel} of {name!r} is not always {value}: it holds {low} to {high}")
    for layer in structure.weighted.values():
        if layer.depthwise or layer.source not in removal.kept:
            continue
        interval, kept = intervals[layer.source], removal.kept[layer.source]
        steps = interval.low - zero_point_of(graph, layer.source)
        needed = must_stay(layer, removal.mask(graph, layer.output), steps, interval.constant) & ~kept
        if needed.any():
            _refuse(f"{layer.output!r} depends on the channels {np.flatnonzero(needed).tolist()} of {layer.source!r}")
    kernels = kernels_of(graph)
    for name, kept in removal.kept.items():
        if kernels.missing(name, kept, intervals[name].low if name in intervals else None):
            _refuse(f"With so few channels of {name!r} a kernel computes the others otherwise")


def _rewritten(artifact: bytes) -> bytes:
    """The artifact as today's writer has it, so that only what the file means is compared."""
    try:
        return write_tflite(read_tflite(artifact))
    except ModelMalformed as cause:
        raise CertificateRefused(f"The artifact is no model: {cause}") from cause


def _refuse(seen: str) -> NoReturn:
    raise CertificateRefused(
        seen,
        expected="what the compiler wrote",
        remedy="Get the bundle again from where it was made, or compile the model again.",
    )
