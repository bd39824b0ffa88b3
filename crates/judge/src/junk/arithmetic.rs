//! Logarithm and exponential of basic operations, so that every machine computes the same: what the system's library
//! gives differs in the last bit from one to the next.

/// e^x for x in -700..700.
fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    // e^x = 2^n * e^r, |r| <= ln 2 / 2.
    let n = (x / std::f64::consts::LN_2).round();
    let r = x - n * std::f64::consts::LN_2;
    let mut sum = 1.0;
    for k in (1..=13).rev() {
        sum = 1.0 + sum * r / f64::from(k);
    }
    sum * power_of_two(n as i32)
}

/// 2^n for n in -1022..=1023.
fn power_of_two(n: i32) -> f64 {
    let exponent = u64::try_from(n.clamp(-1022, 1023) + 1023).unwrap_or_default();
    f64::from_bits(exponent << 52)
}

/// The probability that log-odds say.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// ln x of a normal positive number.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = f64::from(u16::try_from(bits >> 52 & 0x7ff).unwrap_or_default()) - 1023.0;
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    // ln m = 2 artanh((m-1)/(m+1)); m is brought near 1, so that few terms suffice.
    let (mantissa, exponent) = if mantissa > std::f64::consts::SQRT_2 {
        (mantissa / 2.0, exponent + 1.0)
    } else {
        (mantissa, exponent)
    };
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut sum = 0.0;
    for k in (0..10).rev() {
        sum = sum * square + 1.0 / f64::from(2 * k + 1);
    }
    2.0 * t * sum + exponent * std::f64::consts::LN_2
}

/// The logarithm of a product of many fractions, taken once for some dozen of them.
pub(super) struct LogProduct {
    above: f64,
    below: f64,
    factors: u32,
    sum: f64,
}

impl LogProduct {
    pub fn new() -> LogProduct {
        LogProduct {
            above: 1.0,
            below: 1.0,
            factors: 0,
            sum: 0.0,
        }
    }

    /// Times `above / below`, both from 0.0001 to 1.
    pub fn multiply(&mut self, above: f64, below: f64) {
        self.above *= above;
        self.below *= below;
        self.factors += 1;
        if self.factors == 32 {
            self.fold();
        }
    }

    fn fold(&mut self) {
        self.sum += ln(self.above / self.below);
        (self.above, self.below, self.factors) = (1.0, 1.0, 0);
    }

    pub fn ln(mut self) -> f64 {
        self.fold();
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_the_library() {
        for step in -2000..2000 {
            let x = f64::from(step) * 0.37;
            if x.abs() < 700.0 {
                assert!((exp(x) / x.exp() - 1.0).abs() < 1e-12, "{x}");
            }
            let y = x.clamp(-300.0, 300.0).exp();
            assert!((ln(y) - y.ln()).abs() < 1e-10, "{y}");
        }
        assert_eq!(
            (sigmoid(0.0), sigmoid(1e9), sigmoid(f64::MIN)),
            (0.5, 1.0, 1.0 / (1.0 + exp(700.0)))
        );
        let mut product = LogProduct::new();
        (0..1000).for_each(|_| product.multiply(0.9999, 0.0001));
        assert!((product.ln() - 1000.0 * 9999_f64.ln()).abs() < 1e-6);
    }
}
