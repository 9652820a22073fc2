//! The group `modules`: modules of `torch.nn` with a given state: results, buffers afterwards, gradients of inputs and
//! parameters.

use std::collections::BTreeMap;

use flambeau_autograd::{GradOptions, grad};
use flambeau_nn::StateDict;
use flambeau_tensor::{DType, Result, Tensor, amp, no_grad};

use super::case::Case;
use super::compare::differs;
use super::file;
use crate::modules;

impl Case<'_> {
    /// Builds the module, loads its state, calls it and compares; what differs, if anything.
    pub(super) fn check_module(&mut self) -> Result<Option<String>> {
        let class = self.json["module"].as_str().unwrap_or_default().to_string();
        let (ctor_args, ctor_kwargs) = (self.json["ctor_args"].clone(), self.json["ctor_kwargs"].clone());
        let mut instance = modules::build(self.arguments("ctor", &class, &ctor_args, &ctor_kwargs)?)?;
        let dtype = self.json["dtype"].as_str().and_then(DType::from_name);
        if let Some(dtype) = dtype.filter(|dtype| dtype.is_float()) {
            instance.module_mut().to_dtype(dtype)?;
        }
        if class.starts_with("Lazy") {
            // Its parameters appear with the first input.
            let mut args = self.arguments(
                "in",
                &class,
                &self.json["args"].clone(),
                &self.json["kwargs"].clone(),
            )?;
            no_grad(|| instance.call(&mut args))?;
        }
        let mut state = StateDict::new();
        for name in self.names("state") {
            state.insert(
                name.clone(),
                file::tensor(self.tensors, &format!("c{}.sd.{name}", self.id()))?,
            );
        }
        instance.module().load_state_dict(&state, true)?;
        instance
            .module()
            .set_training(self.json["training"].as_bool().unwrap_or(true));

        let grads = self.indices("grads");
        for j in &grads {
            self.input(*j)?.requires_grad(true)?;
        }
        let mut args = self.arguments(
            "in",
            &class,
            &self.json["args"].clone(),
            &self.json["kwargs"].clone(),
        )?;
        let output = amp::autocast(self.region(), || instance.call(&mut args))?;
        args.finish()?;
        let outs = match self.compare_outputs(output.values)? {
            Ok(outs) => outs,
            Err(why) => return Ok(Some(why)),
        };
        let after = instance.module().state_dict();
        for name in self.names("state_after") {
            let expected = file::tensor(self.tensors, &format!("c{}.sd_after.{name}", self.id()))?;
            let Some(got) = after.get(&name) else {
                return Ok(Some(format!("{name}: not in the state afterwards")));
            };
            if let Some(why) = differs(&format!("{name} afterwards"), got, &expected, 1e-6, 1e-6) {
                return Ok(Some(why));
            }
        }
        let mut wanted = BTreeMap::new();
        for j in grads {
            wanted.insert(format!("gin.{j}"), self.input(j)?);
        }
        let parameters: BTreeMap<_, _> = instance.module().named_parameters().into_iter().collect();
        for name in self.names("param_grads") {
            match parameters.get(&name) {
                Some(parameter) => wanted.insert(format!("gparam.{name}"), parameter.tensor().clone()),
                None => return Ok(Some(format!("no parameter {name}"))),
            };
        }
        self.compare_module_gradients(&outs, &wanted)
    }

    fn compare_module_gradients(
        &self,
        outs: &[Option<Tensor>],
        wanted: &BTreeMap<String, Tensor>,
    ) -> Result<Option<String>> {
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut roots = Vec::new();
        for k in self.indices("gouts") {
            if let Some(Some(out)) = outs.get(k)
                && out.is_tracked()
            {
                roots.push((
                    out,
                    file::tensor(self.tensors, &format!("c{}.gout.{k}", self.id()))?,
                ));
            }
        }
        let (outputs, given): (Vec<&Tensor>, Vec<Option<&Tensor>>) =
            roots.iter().map(|(o, g)| (*o, Some(g))).unzip();
        let options = GradOptions {
            allow_unused: true,
            ..GradOptions::default()
        };
        let got = grad(&outputs, &wanted.values().collect::<Vec<_>>(), &given, options)?;
        let tolerance = self.tolerance("grad_rtol", "grad_atol", self.json);
        for (name, got) in wanted.keys().zip(got) {
            let expected = file::tensor(self.tensors, &format!("c{}.{name}", self.id()))?;
            let Some(got) = got else {
                if expected.to_vec_f64()?.iter().all(|&x| x == 0.0) {
                    continue;
                }
                return Ok(Some(format!("{name}: no gradient")));
            };
            if let Some(why) = differs(name, &got, &expected, tolerance.rtol, tolerance.atol) {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    fn names(&self, list: &str) -> Vec<String> {
        let names = self.json[list].as_array().into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(str::to_string))
            .collect()
    }
}
