"""The kernels behind ``triton_tiles``, in Triton's language: no types, and constants in capitals.

A program has a block of tokens and goes over all codes, or the other way round, and makes a block of logits
at a time. The noise is Philox's, a pure function of seed, token and code, so every kernel makes the same.
Sums over the codes are kept beside their running maximum, as for the softmax of attention.

Products of float32 are three products of TF32 each, which is nearly exact and runs on tensor cores.
"""

import triton
import triton.language as tl


@triton.jit
def logits_of(latents, weight, bias, columns, inside, dims, D: tl.constexpr, BIAS: tl.constexpr):
    """A block of logits ``[tokens, codes]``, ``-inf`` beyond the last code, and its rows of ``weight``."""
    here = inside[:, None] & (dims < D)[None, :]
    codes = tl.load(weight + columns[:, None].to(tl.int64) * D + dims[None, :], mask=here, other=0.0)
    logits = tl.dot(latents, tl.trans(codes), input_precision="tf32x3")
    if BIAS:
        logits += tl.load(bias + columns, mask=inside, other=0.0)[None, :]
    return tl.where(inside[None, :], logits, float("-inf")), codes


@triton.jit
def gumbel(seed, rows, columns, N):
    """Gumbel noise of a block."""
    places = rows[:, None].to(tl.int64) * N + columns[None, :]
    uniform = tl.minimum(tl.maximum(tl.rand(seed, places), 1e-20), 1.0 - 1e-7)
    return -tl.log(-tl.log(uniform))


@triton.jit
def tokens_of(latents, M, D: tl.constexpr, DIMS: tl.constexpr, TOKENS: tl.constexpr):
    """A program's tokens: their numbers, which of them there are, and their latents."""
    rows = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    dims = tl.arange(0, DIMS)
    there = rows < M
    here = there[:, None] & (dims < D)[None, :]
    values = tl.load(latents + rows[:, None].to(tl.int64) * D + dims[None, :], mask=here, other=0.0)
    return rows, there, dims, values


@triton.jit
def choose(
    latents, weight, bias, mask, best, chosen, M, N, seed, scale,
    D: tl.constexpr, DIMS: tl.constexpr, TOKENS: tl.constexpr, CODES: tl.constexpr,
    BIAS: tl.constexpr, NOISE: tl.constexpr,
):  # fmt: skip
    rows, there, dims, values = tokens_of(latents, M, D, DIMS, TOKENS)
    top = tl.full([TOKENS], float("-inf"), tl.float32)
    top_noisy = tl.full([TOKENS], float("-inf"), tl.float32)
    at = tl.zeros([TOKENS], tl.int32)
    at_noisy = tl.zeros([TOKENS], tl.int32)
    if NOISE:
        sampled = tl.load(mask + rows, mask=there, other=0) != 0
    for start in range(0, N, CODES):
        columns = start + tl.arange(0, CODES)
        logits, _ = logits_of(values, weight, bias, columns, columns < N, dims, D, BIAS)
        value, place = tl.max(logits, axis=1, return_indices=True)
        at = tl.where(value > top, start + place, at)
        top = tl.maximum(top, value)
        if NOISE:
            noisy = tl.where(sampled[:, None], logits + scale * gumbel(seed, rows, columns, N), logits)
            value, place = tl.max(noisy, axis=1, return_indices=True)
            at_noisy = tl.where(value > top_noisy, start + place, at_noisy)
            top_noisy = tl.maximum(top_noisy, value)
    tl.store(best + rows, at.to(tl.int64), mask=there)
    if NOISE:
        tl.store(chosen + rows, at_noisy.to(tl.int64), mask=there)


@triton.jit
def pull_of(means, values, d_slope, columns, inside, dims, D: tl.constexpr, MEANS: tl.constexpr):
    """``G`` of a block: what the two outputs' gradients ask of every code."""
    pull = tl.load(d_slope + columns, mask=inside, other=0.0)[None, :]
    if MEANS:
        here = inside[:, None] & (dims < D)[None, :]
        part = tl.load(values + columns[:, None].to(tl.int64) * D + dims[None, :], mask=here, other=0.0)
        pull = pull + tl.dot(means, tl.trans(part), input_precision="tf32x3")
    return pull


@triton.jit
def latents_gradient(
    latents, weight, bias, mask, values, d_slope, d_means, d_latents, largest, total, mean,
    M, N, seed, scale, sharpness,
    D: tl.constexpr, DIMS: tl.constexpr, TOKENS: tl.constexpr, CODES: tl.constexpr,
    BIAS: tl.constexpr, NOISE: tl.constexpr, MEANS: tl.constexpr,
):  # fmt: skip
    """The gradient of the latents, and of every token its softmax's maximum, sum, and mean of ``G``."""
    rows, there, dims, own = tokens_of(latents, M, D, DIMS, TOKENS)
    means = tl.zeros([TOKENS, DIMS], tl.float32)
    if MEANS:
        here = there[:, None] & (dims < D)[None, :]
        means = tl.load(d_means + rows[:, None].to(tl.int64) * D + dims[None, :], mask=here, other=0.0)
    if NOISE:
        sampled = tl.load(mask + rows, mask=there, other=0) != 0
    top = tl.full([TOKENS], float("-inf"), tl.float32)
    mass = tl.zeros([TOKENS], tl.float32)
    pulled = tl.zeros([TOKENS], tl.float32)
    with_pull = tl.zeros([TOKENS, DIMS], tl.float32)
    without = tl.zeros([TOKENS, DIMS], tl.float32)
    for start in range(0, N, CODES):
        columns = start + tl.arange(0, CODES)
        inside = columns < N
        logits, codes = logits_of(own, weight, bias, columns, inside, dims, D, BIAS)
        if NOISE:
            logits = tl.where(sampled[:, None], logits + scale * gumbel(seed, rows, columns, N), logits)
        logits *= sharpness
        highest = tl.maximum(top, tl.max(logits, axis=1))
        shrink = tl.exp(top - highest)
        weights = tl.exp(logits - highest[:, None])
        pull = pull_of(means, values, d_slope, columns, inside, dims, D, MEANS)
        product = weights * pull
        mass = mass * shrink + tl.sum(weights, axis=1)
        pulled = pulled * shrink + tl.sum(product, axis=1)
        with_pull = with_pull * shrink[:, None] + tl.dot(product, codes, input_precision="tf32x3")
        without = without * shrink[:, None] + tl.dot(weights, codes, input_precision="tf32x3")
        top = highest
    average = pulled / mass
    gradient = sharpness * (with_pull - average[:, None] * without) / mass[:, None]
    here = there[:, None] & (dims < D)[None, :]
    tl.store(d_latents + rows[:, None].to(tl.int64) * D + dims[None, :], gradient, mask=here)
    tl.store(largest + rows, top, mask=there)
    tl.store(total + rows, mass, mask=there)
    tl.store(mean + rows, average, mask=there)


@triton.jit
def weight_gradient(
    latents, weight, bias, mask, values, d_slope, d_means, d_weight, d_bias, largest, total, mean,
    M, N, seed, scale, sharpness,
    D: tl.constexpr, DIMS: tl.constexpr, TOKENS: tl.constexpr, CODES: tl.constexpr,
    BIAS: tl.constexpr, NOISE: tl.constexpr, MEANS: tl.constexpr,
):  # fmt: skip
    """The gradients of a block of codes, over all tokens: no two programs write to one place."""
    columns = tl.program_id(0) * CODES + tl.arange(0, CODES)
    inside = columns < N
    dims = tl.arange(0, DIMS)
    gradient = tl.zeros([CODES, DIMS], tl.float32)
    sums = tl.zeros([CODES], tl.float32)
    for start in range(0, M, TOKENS):
        rows = start + tl.arange(0, TOKENS)
        there = rows < M
        here = there[:, None] & (dims < D)[None, :]
        own = tl.load(latents + rows[:, None].to(tl.int64) * D + dims[None, :], mask=here, other=0.0)
        means = tl.zeros([TOKENS, DIMS], tl.float32)
        if MEANS:
            means = tl.load(d_means + rows[:, None].to(tl.int64) * D + dims[None, :], mask=here, other=0.0)
        logits, _ = logits_of(own, weight, bias, columns, inside, dims, D, BIAS)
        if NOISE:
            sampled = tl.load(mask + rows, mask=there, other=0) != 0
            logits = tl.where(sampled[:, None], logits + scale * gumbel(seed, rows, columns, N), logits)
        top = tl.load(largest + rows, mask=there, other=0.0)
        mass = tl.load(total + rows, mask=there, other=1.0)
        average = tl.load(mean + rows, mask=there, other=0.0)
        posterior = tl.exp(logits * sharpness - top[:, None]) / mass[:, None]
        pull = pull_of(means, values, d_slope, columns, inside, dims, D, MEANS)
        d_logits = tl.where(there[:, None], sharpness * posterior * (pull - average[:, None]), 0.0)
        gradient += tl.dot(tl.trans(d_logits), own, input_precision="tf32x3")
        sums += tl.sum(d_logits, axis=0)
    here = inside[:, None] & (dims < D)[None, :]
    tl.store(d_weight + columns[:, None].to(tl.int64) * D + dims[None, :], gradient, mask=here)
    if BIAS:
        tl.store(d_bias + columns, sums, mask=inside)


@triton.jit
def noise_matrix(mask, noise, M, N, seed, scale, TOKENS: tl.constexpr, CODES: tl.constexpr):
    rows = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    columns = tl.program_id(1) * CODES + tl.arange(0, CODES)
    sampled = tl.load(mask + rows, mask=rows < M, other=0) != 0
    drawn = tl.where(sampled[:, None], scale * gumbel(seed, rows, columns, N), 0.0)
    here = (rows < M)[:, None] & (columns < N)[None, :]
    tl.store(noise + rows[:, None].to(tl.int64) * N + columns[None, :], drawn, mask=here)


@triton.jit
def probe(place):
    """The least that a kernel can be: where this one does not run, none does."""
    tl.store(place, 1.0)
