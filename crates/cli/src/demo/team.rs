//! The processes of the demo: started, killed, replaced.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sharedware::Domain;

use crate::args::Role;
use crate::exit::{Exit, Outcome};

/// One process of each role. Whoever is left when it is dropped is killed.
#[derive(Debug)]
pub(super) struct Team {
    program: PathBuf,
    domain: Domain,
    name: String,
    may_speak: bool,
    members: Vec<(Role, Child)>,
}

impl Team {
    /// Starts them. `may_speak`: whether what they say on standard error spoils no screen.
    pub(super) fn new(domain: &Domain, name: &str, may_speak: bool) -> Outcome<Self> {
        let program = std::env::current_exe().map_err(|error| Exit::os("find this program", error))?;
        let mut team = Self { program, domain: domain.clone(), name: name.to_owned(), may_speak, members: Vec::new() };
        for role in [Role::Feed, Role::Book, Role::Watch] {
            let child = team.start(role)?;
            team.members.push((role, child));
        }
        Ok(team)
    }

    fn start(&self, role: Role) -> Outcome<Child> {
        let mut command = Command::new(&self.program);
        command.arg("demo-worker").arg(role.name()).arg("--name").arg(&self.name);
        command.arg("--domain").arg(self.domain.name()).arg("--dir").arg(self.domain.directory());
        // Its end is ours; see the module above.
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.stderr(if self.may_speak { Stdio::inherit() } else { Stdio::null() });
        // Ctrl-C is for us; we tell them.
        command.process_group(0);
        command.spawn().map_err(|error| Exit::os("start a process of the demo", error))
    }

    /// Kills one with SIGKILL, in the middle of whatever it does, and starts another. The process ids of both.
    pub(super) fn kill_and_replace(&mut self, role: Role) -> Outcome<(u32, u32)> {
        let index = self.members.iter().position(|(has, _)| *has == role);
        let index = index.ok_or_else(|| Exit::failure("nobody to kill"))?;
        let dead = &mut self.members[index].1;
        let pid = dead.id();
        dead.kill().and_then(|()| dead.wait()).map_err(|error| Exit::os("kill a process of the demo", error))?;
        let successor = self.start(role)?;
        let new = successor.id();
        self.members[index].1 = successor;
        Ok((pid, new))
    }

    /// Starts another one for each that died, by our hand or somebody else's. The role, and the process ids of both.
    pub(super) fn replace_the_dead(&mut self) -> Outcome<Vec<(Role, u32, u32)>> {
        let mut replaced = Vec::new();
        for index in 0..self.members.len() {
            let (role, child) = &mut self.members[index];
            let (role, pid) = (*role, child.id());
            let Some(status) = child.try_wait().map_err(|error| Exit::os("wait for a process of the demo", error))?
            else {
                continue;
            };
            if status.code().is_some() {
                return Err(Exit::failure(format_args!("the {} of the demo ended by itself: {status}", role.name())));
            }
            let successor = self.start(role)?;
            replaced.push((role, pid, successor.id()));
            self.members[index].1 = successor;
        }
        Ok(replaced)
    }

    /// Whether all have ended.
    pub(super) fn is_done(&mut self) -> Outcome<bool> {
        for (_, child) in &mut self.members {
            if child.try_wait().map_err(|error| Exit::os("wait for a process of the demo", error))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        for (_, child) in &mut self.members {
            // Those that have ended are left alone.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
