//! Vector code of the BERT forward pass: what lies between its matrix products, each written once in plain loops that
//! the compiler turns into the widest instructions of the processor at hand (through `pulp`'s dispatch).

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, InplaceOp1, InplaceOp2, Layout, Result, Shape};
use pulp::{Arch, Simd, WithSimd};

/// Rows are padded to a multiple of this: two of the widest registers, those of AVX-512.
const LANES: usize = 32;
/// Registers of columns that a product makes at once.
const BLOCK: usize = 2;
/// Queries that share each load of a key or value.
const ROWS: usize = 4;

/// The numbers of a contiguous tensor.
fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(all) = storage else { candle_core::bail!("only 32-bit floats are computed with here") };
    match layout.contiguous_offsets().and_then(|(from, to)| all.get(from..to)) {
        Some(numbers) => Ok(numbers),
        None => candle_core::bail!("a tensor that is not contiguous"),
    }
}

fn numbers_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let CpuStorage::F32(all) = storage else { candle_core::bail!("only 32-bit floats are computed with here") };
    match layout.contiguous_offsets().and_then(|(from, to)| all.get_mut(from..to)) {
        Some(numbers) => Ok(numbers),
        None => candle_core::bail!("a tensor that is not contiguous"),
    }
}

/// `e^x` to 3·10⁻⁷ relative, for `x ≤ 88`: a power of two times a polynomial (Cody and Waite's reduction; coefficients
/// of the Taylor series in the reduced range).
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding this rounds to the nearest whole number and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.max(-87.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let rest = whole.mul_add(-1.428_606_8e-6, whole.mul_add(-0.693_145_75, x));
    let series = rest.mul_add(1.0 / 720.0, 1.0 / 120.0);
    let series = rest.mul_add(series, 1.0 / 24.0);
    let series = rest.mul_add(series, 1.0 / 6.0);
    let series = rest.mul_add(series, 0.5);
    let series = rest.mul_add(series, 1.0);
    let series = rest.mul_add(series, 1.0);
    series * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()))
}

/// The exact GELU, `x·Φ(x)`, to 10⁻⁶ absolute up to |x| = 5 (Abramowitz and Stegun, formula 7.1.26).
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = (x * std::f32::consts::FRAC_1_SQRT_2).abs();
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let series = t.mul_add(1.061_405_4, -1.453_152_1);
    let series = t.mul_add(series, 1.421_413_8);
    let series = t.mul_add(series, -0.284_496_72);
    let series = t.mul_add(series, 0.254_829_6);
    let tail = t * series * exp(-z * z);
    let erf = (1.0 - tail).copysign(x);
    0.5 * x * (1.0 + erf)
}

/// Adds a bias to each row, then GELU.
pub(super) struct BiasGelu {
    pub(super) bias: Arc<[f32]>,
}

impl InplaceOp1 for BiasGelu {
    fn name(&self) -> &'static str {
        "bias-gelu"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let rows = numbers_mut(storage, layout)?;
        Arch::new().dispatch(Gelus { rows, bias: &self.bias });
        Ok(())
    }
}

struct Gelus<'a> {
    rows: &'a mut [f32],
    bias: &'a [f32],
}

impl WithSimd for Gelus<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact_mut(self.bias.len()) {
            for (value, bias) in row.iter_mut().zip(self.bias) {
                *value = gelu(*value + bias);
            }
        }
    }
}

/// Adds a bias and another tensor to each row, then normalises the row (Ba et al. 2016).
pub(super) struct AddNorm {
    pub(super) bias: Arc<[f32]>,
    pub(super) gain: Arc<[f32]>,
    pub(super) shift: Arc<[f32]>,
    pub(super) epsilon: f32,
}

impl InplaceOp2 for AddNorm {
    fn name(&self) -> &'static str {
        "add-norm"
    }

    fn cpu_fwd(
        &self,
        storage: &mut CpuStorage,
        layout: &Layout,
        other: &CpuStorage,
        other_layout: &Layout,
    ) -> Result<()> {
        let (rows, others) = (numbers_mut(storage, layout)?, numbers(other, other_layout)?);
        Arch::new().dispatch(AddNorms { rows, others, norm: self });
        Ok(())
    }
}

struct AddNorms<'a> {
    rows: &'a mut [f32],
    others: &'a [f32],
    norm: &'a AddNorm,
}

impl WithSimd for AddNorms<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let AddNorm { bias, gain, shift, epsilon } = self.norm;
        let width = bias.len();
        for (row, other) in self.rows.chunks_exact_mut(width).zip(self.others.chunks_exact(width)) {
            for ((value, bias), other) in row.iter_mut().zip(&**bias).zip(other) {
                *value += bias + other;
            }
            normalise(row, gain, shift, *epsilon);
        }
    }
}

/// Mean 0 and variance 1, then gain and shift.
#[inline(always)]
pub(super) fn normalise(row: &mut [f32], gain: &[f32], shift: &[f32], epsilon: f32) {
    let count = row.len() as f32;
    let mean = sum(row, |value| value) / count;
    let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for ((value, gain), shift) in row.iter_mut().zip(gain).zip(shift) {
        *value = (*value - mean) * scale * gain + shift;
    }
}

/// A sum in as many lanes as registers have; strictly sequential sums cannot be vectorised.
#[inline(always)]
fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += of(*value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| of(*value)).sum::<f32>()
}

/// Attention within each of several texts that lie one after the other in the rows (query, key and value side by side):
/// no text is padded, and none sees another.
pub(super) struct Attention {
    /// Tokens of each text.
    pub(super) lengths: Vec<usize>,
    pub(super) heads: usize,
    /// Added to query, key and value.
    pub(super) bias: Arc<[f32]>,
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "packed-attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = numbers(storage, layout)?;
        let hidden = self.bias.len() / 3;
        let tokens: usize = self.lengths.iter().sum();
        if hidden == 0 || rows.len() != tokens * 3 * hidden {
            candle_core::bail!("the texts do not fill the rows");
        }
        let mut mixed = vec![0.0; tokens * hidden];
        let mut room = Room::new(self.lengths.iter().copied().max().unwrap_or(0), hidden / self.heads);
        let mut from = 0;
        for length in &self.lengths {
            let texts = rows.get(from * 3 * hidden..(from + length) * 3 * hidden).unwrap_or_default();
            let out = mixed.get_mut(from * hidden..(from + length) * hidden).unwrap_or_default();
            Arch::new().dispatch(Heads { attention: self, rows: texts, out, room: &mut room });
            from += length;
        }
        Ok((CpuStorage::F32(mixed), Shape::from((tokens, hidden))))
    }
}

/// All heads of one text.
struct Heads<'a> {
    attention: &'a Attention,
    rows: &'a [f32],
    out: &'a mut [f32],
    room: &'a mut Room,
}

impl WithSimd for Heads<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for head in 0..self.attention.heads {
            self.attention.head(simd, self.rows, self.out, head, self.room);
        }
    }
}

/// What one head of one text is worked on in; both dimensions are rounded up to whole registers.
struct Room {
    /// Width of a head, and the same rounded up.
    width: usize,
    wide: usize,
    /// A row per query.
    queries: Vec<f32>,
    /// A row per number of the head, a column per key.
    keys: Vec<f32>,
    /// A row per key.
    values: Vec<f32>,
    /// Scores of `ROWS` queries.
    scores: Vec<f32>,
}

impl Room {
    fn new(longest: usize, width: usize) -> Self {
        let (long, wide) = (longest.next_multiple_of(LANES), width.next_multiple_of(LANES));
        Self {
            width,
            wide,
            queries: vec![0.0; (longest + ROWS) * width],
            keys: vec![0.0; width * long],
            values: vec![0.0; long * wide],
            scores: vec![0.0; ROWS * long],
        }
    }
}

impl Attention {
    /// One head of one text.
    #[inline(always)]
    fn head<S: Simd>(&self, simd: S, rows: &[f32], out: &mut [f32], head: usize, room: &mut Room) {
        let hidden = self.bias.len() / 3;
        let (width, count) = (room.width, rows.len() / (3 * hidden));
        let long = count.next_multiple_of(LANES);
        self.unpack(rows, head, room, long);
        let Room { wide, queries, keys, values, scores, .. } = room;
        let (keys, values) = (S::as_simd_f32s(keys).0, S::as_simd_f32s(values).0);
        let (key_row, value_row) = (long / S::F32_LANES, *wide / S::F32_LANES);
        for first in (0..count).step_by(ROWS) {
            let asked = Left { numbers: queries.get(first * width..).unwrap_or_default(), stride: width, depth: width };
            for from in (0..key_row).step_by(BLOCK) {
                for (row, sums) in product(simd, asked, keys, key_row, from).iter().enumerate() {
                    let row = S::as_mut_simd_f32s(scores.get_mut(row * long..(row + 1) * long).unwrap_or_default()).0;
                    row.get_mut(from..from + BLOCK).unwrap_or_default().copy_from_slice(sums);
                }
            }
            for row in scores.get_mut(..ROWS * long).unwrap_or_default().chunks_exact_mut(long) {
                softmax(row, count);
            }
            let shares = Left { numbers: scores, stride: long, depth: count };
            for from in (0..value_row).step_by(BLOCK) {
                let column = from * S::F32_LANES;
                for (at, sums) in product(simd, shares, values, value_row, from).iter().enumerate().take(count - first)
                {
                    let row = (first + at) * hidden + head * width + column;
                    let most = (BLOCK * S::F32_LANES).min(width.saturating_sub(column));
                    let target = out.get_mut(row..row + most).unwrap_or_default();
                    target.copy_from_slice(pulp::bytemuck::cast_slice::<_, f32>(sums).get(..most).unwrap_or_default());
                }
            }
        }
    }

    /// Copies a head's queries (scaled), keys (turned) and values out of the rows.
    #[inline(always)]
    fn unpack(&self, rows: &[f32], head: usize, room: &mut Room, long: usize) {
        let hidden = self.bias.len() / 3;
        let width = room.width;
        let scale = 1.0 / (width as f32).sqrt();
        let part = |of: &[f32], which: usize| -> (usize, usize) {
            let from = which * hidden + head * width;
            debug_assert!(from + width <= of.len());
            (from, from + width)
        };
        for (token, row) in rows.chunks_exact(3 * hidden).enumerate() {
            let take = |which: usize| {
                let (from, to) = part(row, which);
                let (values, bias) = (row.get(from..to).unwrap_or_default(), self.bias.get(from..to));
                values.iter().zip(bias.unwrap_or_default())
            };
            let queries = room.queries.get_mut(token * width..(token + 1) * width).unwrap_or_default();
            for (query, (value, bias)) in queries.iter_mut().zip(take(0)) {
                *query = (value + bias) * scale;
            }
            let column = room.keys.iter_mut().skip(token).step_by(long);
            for (key, (value, bias)) in column.zip(take(1)) {
                *key = value + bias;
            }
            let values = room.values.get_mut(token * room.wide..token * room.wide + width).unwrap_or_default();
            for (own, (value, bias)) in values.iter_mut().zip(take(2)) {
                *own = value + bias;
            }
        }
    }
}

/// Rows of the left side of a product: `ROWS` of `stride` numbers each, of which the first `depth` count.
#[derive(Clone, Copy)]
struct Left<'a> {
    numbers: &'a [f32],
    stride: usize,
    depth: usize,
}

/// The product of `ROWS` rows with [`BLOCK`] registers of columns, the first of them at `from`; rows of the right side
/// are `wide` registers apart.
#[inline(always)]
fn product<S: Simd>(simd: S, left: Left<'_>, right: &[S::f32s], wide: usize, from: usize) -> [[S::f32s; BLOCK]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); BLOCK]; ROWS];
    for at in 0..left.depth {
        let Some([first, second]) = right.get(at * wide + from..).and_then(|row| row.first_chunk::<BLOCK>()) else {
            continue;
        };
        for (row, sums) in sums.iter_mut().enumerate() {
            let factor = simd.splat_f32s(left.numbers.get(row * left.stride + at).copied().unwrap_or_default());
            let [one, other] = sums;
            *one = simd.mul_add_f32s(factor, *first, *one);
            *other = simd.mul_add_f32s(factor, *second, *other);
        }
    }
    sums
}

/// Shares that add up to 1 of the first `count` scores; the rest gets none.
#[inline(always)]
fn softmax(row: &mut [f32], count: usize) {
    let (real, rest) = row.split_at_mut(count.min(row.len()));
    rest.fill(0.0);
    let mut most = [f32::NEG_INFINITY; LANES];
    for chunk in real.chunks(LANES) {
        for (lane, value) in most.iter_mut().zip(chunk) {
            *lane = lane.max(*value);
        }
    }
    let most = most.iter().fold(f32::NEG_INFINITY, |most, value| most.max(*value));
    for value in &mut *real {
        *value = exp(*value - most);
    }
    let scale = 1.0 / sum(real, |value| value);
    for value in real {
        *value *= scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error function by its series, in double precision.
    fn erf(x: f64) -> f64 {
        let mut term = x;
        let mut sum = x;
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn exp_and_gelu_keep_their_promises() {
        for step in -8_700..=8_800 {
            let x = f64::from(step) / 100.0;
            let error = (f64::from(exp(x as f32)) / f64::from(x as f32).exp() - 1.0).abs();
            assert!(error < 3e-7, "exp({x}): {error:e}");
        }
        for step in -500..=500 {
            let x = f64::from(step) / 100.0;
            let exact = 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2));
            let error = (f64::from(gelu(x as f32)) - exact).abs();
            assert!(error < 1e-6, "gelu({x}): {error:e}");
        }
        assert_eq!((exp(-1e30) < 1e-37, gelu(40.0), gelu(-40.0).abs()), (true, 40.0, 0.0));
    }
}
