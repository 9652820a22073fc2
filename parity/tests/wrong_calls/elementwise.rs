//! Wrong calls: functions of each element.

use super::table::{Call, ToArg, counting};
use flambeau_parity::args::Arg;
use flambeau_tensor::DType;

#[rustfmt::skip]
pub(crate) fn calls() -> Vec<Call> {
    calls! {
        "add" [f![2, 3], f![4]] => "[2, 3]", "[4]";
        "add" [f![2, 3]] => "other";
        "add" [f![2, 3], "x"] => "other", "x";
        "add" [f![2], f![2]] beta = 2 => "beta";
        "sub" [f![2, 3], f![3, 2]] => "[2, 3]", "[3, 2]";
        "sub" [b![2], b![2]] => "bool";
        "mul" [f![5], f![2, 3]] => "[5]", "[2, 3]";
        "mul" [f![5]] => "other";
        "div" [f![5], f![2]] => "[5]", "[2]";
        "div" [f![5], f![5]] rounding_mode = "up" => "up";
        "pow" [f![2, 3], f![2]] => "[2, 3]", "[2]";
        "pow" [l![3], -1] => "-1";
        "atan2" [f![2], f![3]] => "[2]", "[3]";
        "hypot" [f![2], f![3]] => "[2]", "[3]";
        "hypot" [l![2], l![2]] => "int64";
        "fmod" [f![2], f![3]] => "[2]", "[3]";
        "remainder" [f![2], f![3]] => "[2]", "[3]";
        "maximum" [f![2], f![3]] => "[2]", "[3]";
        "minimum" [f![2, 1, 2], f![3]] => "[2, 1, 2]", "[3]";
        "eq" [f![2], f![3]] => "[2]", "[3]";
        "lt" [f![2], f![3]] => "[2]", "[3]";
        "where" [b![2], f![3], f![3]] => "[2]", "[3]";
        "where" [f![2], f![2], f![2]] => "float32";
        "lerp" [f![2], f![3], 0.5] => "[2]", "[3]";
        "addcmul" [f![2], f![3], f![3]] => "[2]", "[3]";
        "addcdiv" [f![2], f![3], f![3]] => "[2]", "[3]";
        "addcdiv" [l![2], l![2], l![2]] => "int64";
        "clamp" [f![2]] => "min", "max";
        "clamp" [f![2], f![3]] => "[2]", "[3]";
        "bitwise_and" [f![2], f![2]] => "float32";
        "bitwise_not" [f![2]] => "float32";
        "bitwise_left_shift" [f![2], 1] => "float32";
        "gcd" [f![2], f![2]] => "float32";
        "neg" [b![2]] => "bool";
        "exp" [] => "input";
        "exp" ["x"] => "input", "x";
        "sin" [f![2], 1] => "1";
        "sqrt" [f![2]] out = 1 => "out";
        "round" [l![2]] decimals = 1 => "int64";
        "logit" [f![2], "x"] => "eps", "x";
        "polygamma" [-1, f![2]] => "-1";
        "mvlgamma" [f![2], 0] => "0";
        "nn.functional.softplus" [f![2]] beta = "x" => "beta";
        "nn.functional.gelu" [f![2]] approximate = "erf" => "erf";
        "nn.functional.glu" [f![3]] => "3";
        "nn.functional.glu" [f![2, 4], 2] => "2";
        "nn.functional.prelu" [f![2, 3], f![2]] => "[2]";
        "nn.functional.hardtanh" [f![2], 1.0, -1.0] => "1", "-1";
        "nn.functional.threshold" [f![2]] => "threshold";
        "nn.functional.rrelu" [f![2], 2.0, 1.0] => "2", "1";
        "heaviside" [f![2], f![3]] => "[2]", "[3]";
        "nextafter" [f![2], f![3]] => "[2]", "[3]";
        "copysign" [f![2], f![3]] => "[2]", "[3]";
        "ldexp" [f![2], f![3]] => "[2]", "[3]";
        "logaddexp" [f![2], f![3]] => "[2]", "[3]";
        "xlogy" [f![2], f![3]] => "[2]", "[3]";
        "lcm" [f![2], f![2]] => "float32";
        "bitwise_right_shift" [f![2], 1] => "float32";
        "isclose" [f![2], l![2]] => "float32", "int64";
        "clamp" [f![2], "x"] => "min", "x";
        "float_power" [f![2], f![3]] => "[2]", "[3]";
        "igamma" [f![2], f![3]] => "[2]", "[3]";
        "igamma" [l![2], l![2]] => "int64";
        "special.zeta" [f![2], f![3]] => "[2]", "[3]";
        "nan_to_num" [f![2], "x"] => "nan", "x";
    }
}
