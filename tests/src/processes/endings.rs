//! How processes end: asked to, killed, or by themselves.

use std::process::ExitStatus;

use futures::future::{join_all, select_all};
use tokio::time::timeout;

use super::{Processes, Service};
use crate::Process;
use crate::eventually::PATIENCE;

impl Processes {
    /// Ends all processes of a service as operators do, and returns how they ended.
    pub async fn terminate(&mut self, service: Service) -> Vec<ExitStatus> {
        let children: Vec<_> = self.replicas.iter_mut().map(|replica| replica.child(service)).collect();
        for child in &children {
            Process::new(child.id().expect("it runs")).terminate();
        }
        let ends = children.into_iter().map(|child| timeout(PATIENCE, child.wait()));
        join_all(ends).await.into_iter().map(|end| end.expect("it ends").expect("its status")).collect()
    }

    /// Ends all processes of a service as `kill -9` does.
    pub async fn kill(&mut self, service: Service) {
        for replica in &mut self.replicas {
            replica.child(service).kill().await.expect("it is killed");
        }
    }

    /// Ends one process of a service as `kill -9` does.
    pub async fn kill_one(&mut self, service: Service, number: usize) {
        self.replicas[number].child(service).kill().await.expect("it is killed");
    }

    /// Ends one process of a service as an orchestrator does: asks it to, and waits until it has drained.
    pub async fn end_one(&mut self, service: Service, number: usize) -> ExitStatus {
        let child = self.replicas[number].child(service);
        Process::new(child.id().expect("it runs")).terminate();
        timeout(PATIENCE, child.wait()).await.expect("it drains").expect("it ends")
    }

    /// Waits until the first process of a service has died by itself.
    pub async fn died(&mut self, service: Service) -> ExitStatus {
        let died = timeout(PATIENCE, self.replicas[0].child(service).wait()).await;
        died.expect("it dies where it was told to").expect("it ends")
    }

    /// Waits until any process of a service has died by itself; `None` if none did for as long as anything takes.
    pub async fn one_died(&mut self, service: Service) -> Option<ExitStatus> {
        let waits = self.replicas.iter_mut().map(|replica| Box::pin(replica.child(service).wait()));
        let (status, ..) = timeout(PATIENCE, select_all(waits)).await.ok()?;
        Some(status.expect("its status"))
    }
}
