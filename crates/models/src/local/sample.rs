//! Choosing the next token: the likeliest, or one by chance (temperature and nucleus, Holtzman et al. 2020,
//! <https://arxiv.org/abs/1904.09751>).

use super::fault::LocalError;

/// How a token is chosen.
pub(super) struct Sampler {
    temperature: f32,
    top_p: f32,
    random: fastrand::Rng,
}

impl Sampler {
    /// Temperature 0 always chooses the likeliest. The same seed chooses the same again.
    pub(super) fn new(temperature: f32, top_p: f32, seed: Option<u64>) -> Self {
        let random = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self { temperature, top_p, random }
    }

    /// The next token.
    ///
    /// # Errors
    /// When the logits are no numbers.
    pub(super) fn pick(&mut self, logits: &[f32]) -> Result<u32, LocalError> {
        let best = logits.iter().enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other));
        let Some((at, most)) = best.filter(|(_, most)| most.is_finite()) else {
            return Err(LocalError::Compute("the model gave no finite numbers".to_owned()));
        };
        // Of equals the first, as every reference does.
        let first = logits.iter().position(|logit| logit == most).unwrap_or(at);
        if self.temperature <= 0.0 {
            return Ok(first as u32);
        }
        let mut chances: Vec<(usize, f32)> =
            logits.iter().map(|logit| ((logit - most) / self.temperature).exp()).enumerate().collect();
        let mut total: f32 = chances.iter().map(|(_, chance)| chance).sum();
        if self.top_p > 0.0 && self.top_p < 1.0 {
            chances.sort_by(|(_, one), (_, other)| other.total_cmp(one));
            let wanted = self.top_p * total;
            let mut sum = 0.0;
            let kept = chances.iter().position(|(_, chance)| {
                sum += chance;
                sum >= wanted
            });
            chances.truncate(kept.map_or(chances.len(), |last| last + 1));
            total = chances.iter().map(|(_, chance)| chance).sum();
        }
        let mut left = self.random.f32() * total;
        for (at, chance) in &chances {
            left -= chance;
            if left < 0.0 {
                return Ok(*at as u32);
            }
        }
        Ok(first as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 4] = [1.0, 3.0, 3.0, -2.0];

    #[test]
    fn without_temperature_the_first_of_the_likeliest() {
        assert_eq!(Sampler::new(0.0, 1.0, None).pick(&LOGITS).unwrap(), 1);
    }

    #[test]
    fn a_seed_repeats_and_a_nucleus_leaves_out_the_unlikely() {
        let draw = |top_p, seed| {
            let mut sampler = Sampler::new(1.0, top_p, Some(seed));
            (0..400).map(|_| sampler.pick(&LOGITS).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1.0, 7), draw(1.0, 7));
        assert_ne!(draw(1.0, 7), draw(1.0, 8));
        assert!(draw(1.0, 7).contains(&0), "without a nucleus the unlikely come too");
        assert!(draw(0.9, 7).iter().all(|token| matches!(token, 1 | 2)));
    }

    #[test]
    fn shares_follow_the_chances() {
        let mut sampler = Sampler::new(1.0, 1.0, Some(1));
        let ones = (0..20_000).filter(|_| sampler.pick(&LOGITS).unwrap() == 1).count();
        let expected = 3.0_f64.exp() / (2.0 * 3.0_f64.exp() + 1.0_f64.exp() + (-2.0_f64).exp());
        assert!((ones as f64 / 20_000.0 - expected).abs() < 0.015);
    }

    #[test]
    fn what_is_no_number_is_told() {
        assert!(Sampler::new(0.0, 1.0, None).pick(&[f32::NAN, f32::NAN]).is_err());
        assert!(Sampler::new(0.0, 1.0, None).pick(&[]).is_err());
    }
}
