//! Commands that an operator runs beside a process, on its data and by its ways, whatever becomes of it meanwhile.

use std::ffi::OsString;
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::{Processes, Service, command};
use crate::discretion;
use crate::home::ANY;

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
    /// Runs a command of one of them to its end.
    pub async fn command_output(&self, service: Service, arguments: &[&str]) -> Output {
        heard(self.command(service, 0).args(arguments).output().await.expect("it runs"))
    }

    /// The same, and whatever it answers goes into this.
    pub async fn command_into(&self, service: Service, arguments: &[&str], stdout: Stdio) -> Output {
        let mut command = self.command(service, 0);
        command.args(arguments).stdout(stdout).stderr(Stdio::piped()).kill_on_drop(true);
        heard(command.spawn().expect("it starts").wait_with_output().await.expect("it runs"))
    }

    /// Runs a command of one of them on the same data, but on addresses of its own.
    pub async fn elsewhere(&self, service: Service, arguments: &[&str]) -> Output {
        let (binary, variables) = match service {
            Service::Auth => (self.binaries.auth, self.settings.of_auth(&self.home, [ANY; 3])),
            Service::Users => {
                let port = self.replicas[0].addresses.auth[1];
                (self.binaries.users, self.settings.of_users(&self.home, [ANY; 2], port))
            }
        };
        heard(command(binary, variables).args(arguments).output().await.expect("it runs"))
    }

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

/// What a command answered.
fn heard(output: Output) -> Output {
    discretion::hear("a command", [output.stdout.as_slice(), &output.stderr].concat());
    output
}
