//! The Python expressions by which cases of schedules give functions: numbers, a variable, arithmetic, comparisons,
//! `a if c else b`, and a few functions (`min`, `max`, `abs`, `math.cos`, …).

use flambeau_tensor::{Result, bail, ensure};

/// The value of an expression where the variable stands for `x`.
pub(super) fn evaluate(text: &str, variable: &str, x: f64) -> Result<f64> {
    let mut parser = Parser {
        rest: text,
        text,
        variable,
        x,
    };
    let value = parser.conditional()?;
    ensure!(
        parser.rest.trim().is_empty(),
        Format,
        "{text:?}: what is {:?}?",
        parser.rest
    );
    Ok(value)
}

struct Parser<'a> {
    rest: &'a str,
    text: &'a str,
    variable: &'a str,
    x: f64,
}

impl Parser<'_> {
    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        let Some(after) = rest.strip_prefix(token) else {
            return false;
        };
        let word = token.ends_with(char::is_alphabetic);
        if word && after.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = after;
        true
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        ensure!(
            self.take(token),
            Format,
            "{:?}: expected {token:?} before {:?}",
            self.text,
            self.rest
        );
        Ok(())
    }

    fn conditional(&mut self) -> Result<f64> {
        let value = self.comparison()?;
        if !self.take("if") {
            return Ok(value);
        }
        let condition = self.comparison()?;
        self.expect("else")?;
        let other = self.conditional()?;
        Ok(if condition != 0.0 { value } else { other })
    }

    fn comparison(&mut self) -> Result<f64> {
        let left = self.sum()?;
        type Compare = fn(&f64, &f64) -> bool;
        let operators: [(&str, Compare); 6] = [
            ("<=", f64::le),
            (">=", f64::ge),
            ("==", f64::eq),
            ("!=", f64::ne),
            ("<", f64::lt),
            (">", f64::gt),
        ];
        for (token, compare) in operators {
            if self.take(token) {
                let right = self.sum()?;
                return Ok(f64::from(u8::from(compare(&left, &right))));
            }
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<f64> {
        let mut value = self.product()?;
        loop {
            if self.take("+") {
                value += self.product()?;
            } else if self.take("-") {
                value -= self.product()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<f64> {
        let mut value = self.signed()?;
        loop {
            if self.take("//") {
                value = (value / self.signed()?).floor();
            } else if self.take("*") {
                value *= self.signed()?;
            } else if self.take("/") {
                value /= self.signed()?;
            } else if self.take("%") {
                let divisor = self.signed()?;
                value -= divisor * (value / divisor).floor();
            } else {
                return Ok(value);
            }
        }
    }

    fn signed(&mut self) -> Result<f64> {
        if self.take("-") {
            return Ok(-self.signed()?);
        }
        let base = self.atom()?;
        if self.take("**") {
            return Ok(base.powf(self.signed()?));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<f64> {
        if self.take("(") {
            let value = self.conditional()?;
            self.expect(")")?;
            return Ok(value);
        }
        let variable = self.variable;
        if self.take(variable) {
            return Ok(self.x);
        }
        if self.take("math.pi") {
            return Ok(std::f64::consts::PI);
        }
        type Function = fn(&[f64]) -> Option<f64>;
        let functions: [(&str, Function); 10] = [
            ("min", |x| x.iter().copied().reduce(f64::min)),
            ("max", |x| x.iter().copied().reduce(f64::max)),
            ("abs", |x| Some(x.first()?.abs())),
            ("int", |x| Some(x.first()?.trunc())),
            ("float", |x| x.first().copied()),
            ("math.cos", |x| Some(x.first()?.cos())),
            ("math.sin", |x| Some(x.first()?.sin())),
            ("math.exp", |x| Some(x.first()?.exp())),
            ("math.sqrt", |x| Some(x.first()?.sqrt())),
            ("math.log", |x| Some(x.first()?.ln())),
        ];
        for (name, function) in functions {
            if self.take(name) {
                self.expect("(")?;
                let mut arguments = vec![self.conditional()?];
                while self.take(",") {
                    arguments.push(self.conditional()?);
                }
                self.expect(")")?;
                let Some(value) = function(&arguments) else {
                    bail!(Format, "{:?}: {name} without arguments", self.text)
                };
                return Ok(value);
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<f64> {
        let rest = self.rest.trim_start();
        let mut end = 0;
        for (i, c) in rest.char_indices() {
            let exponent_sign = matches!(c, '+' | '-') && rest[..i].ends_with(['e', 'E']);
            if !(c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E') || exponent_sign) {
                break;
            }
            end = i + c.len_utf8();
        }
        let Ok(value) = rest[..end].parse() else {
            bail!(Format, "{:?}: expected a number before {rest:?}", self.text)
        };
        self.rest = &rest[end..];
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_pythons_values() {
        let at = |text: &str| evaluate(text, "epoch", 3.0).unwrap();
        assert_eq!(at("0.5**epoch"), 0.125);
        assert_eq!(at("1 / (1 + 0.5 * epoch)"), 0.4);
        assert_eq!(at("min(1.0, (epoch + 1) / 8)"), 0.5);
        assert_eq!(at("1e-1 if epoch < 2 else 0.5 ** (epoch // 2)"), 0.5);
        assert_eq!(at("-2 ** 2 + epoch % 2"), -3.0);
        assert_eq!(at("0.5 * (1 + math.cos(math.pi * epoch / 3))"), 0.0);
        assert!(evaluate("epochs", "epoch", 1.0).is_err());
        assert!(evaluate("1 +", "epoch", 1.0).is_err());
        assert!(evaluate("1 2", "epoch", 1.0).is_err());
    }
}
