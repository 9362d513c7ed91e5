//! Commands that an operator runs beside a process, on its data and by its ways, whatever becomes of it meanwhile.

use std::ffi::OsString;
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::{Processes, Service, heard};

/// An operator at the machine of one process of a service.
#[derive(Clone, Debug)]
pub struct Operator {
    program: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
}

impl Operator {
    /// Goes by way of another program, which is given the command as its last arguments.
    #[must_use]
    pub fn by(self, by: &[&str]) -> Self {
        let arguments = by[1..].iter().map(Into::into).chain([self.program]).chain(self.arguments);
        Self { program: by[0].into(), arguments: arguments.collect(), variables: self.variables }
    }

    /// Runs a command of the service to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        heard(command.output().await.expect("it runs"))
    }
}

impl Processes {
    /// Whoever runs commands of a service where one process of it runs, or did.
    #[must_use]
    pub fn operator(&self, service: Service, number: usize) -> Operator {
        let command = self.command(service, number);
        let command = command.as_std();
        let variables = command.get_envs().filter_map(|(name, value)| Some((name.into(), value?.into())));
        Operator {
            program: command.get_program().into(),
            arguments: command.get_args().map(Into::into).collect(),
            variables: variables.collect(),
        }
    }
}
