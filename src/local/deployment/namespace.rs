//! A root of this process's own, for a machine whose `/opt` and `/var/task` are not ours.
//!
//! In a user and mount namespace a file system in memory becomes the root. It has everything that the machine's has, by
//! bind mounts, but for `/opt`, `/var/task` and `/tmp`, which are new. It is gone with the last process in it: nothing
//! is left to clean up. Inside, the user is the one that Lambda runs functions as. A function loses the right to mount
//! with its execve, as that user is not root.

use std::{
    env,
    ffi::{CStr, OsString},
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rustix::{
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
        mount_remount, unmount,
    },
    process::{getegid, geteuid, pivot_root},
    thread::{UnshareFlags, unshare_unsafe},
};

use crate::local::deployment::{
    error::{DeploymentError, Reason},
    in_place::Untaken,
};

/// Lambda's user and group.
const USER: u32 = 993;
const GROUP: u32 = 990;

/// What becomes the root is mounted here first, as the folder is on every machine.
const NEW_ROOT: &str = "/tmp";

/// Lambda gives a function 512 MB of `/tmp` unless more is asked for.
const TMP: &CStr = c"mode=1777,size=512m";

const MEMORY: &CStr = c"mode=0755";

/// Enters it, once `fill` has written what belongs into the two folders that it is given (layers, function). `untaken`
/// is why this is necessary.
pub(crate) fn enter(
    untaken: Untaken,
    fill: impl FnOnce(&Path, &Path) -> Result<(), DeploymentError>,
) -> Result<(), DeploymentError> {
    let refused = |(what, error): (&str, io::Error)| match &untaken {
        Untaken::Busy => Reason::Busy,
        Untaken::Unfit(folders) => Reason::NoPlace {
            folders: folders.clone(),
            namespace: format!("{what}: {error}"),
        },
    };
    let here = env::current_dir();
    unshare().map_err(|error| refused(("creating it", error)))?;
    let [opt, task_root] = build().map_err(|error| refused(("its mounts", error)))?;
    fill(&opt, &task_root)?;
    close(&[&opt, &task_root]).map_err(|error| refused(("its root", error)))?;
    // What was below one of the folders that are new now is not to be had any more.
    let _ = here.and_then(env::set_current_dir);
    Ok(())
}

fn unshare() -> io::Result<()> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    #[allow(
        unsafe_code,
        reason = "only UnshareFlags::FILES is unsafe, and rustix has no safe form of the rest"
    )]
    unsafe {
        unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
    }
    // Without it the group cannot be mapped (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{USER} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{GROUP} {group} 1"))
}

/// Mounts everything; gives the two empty folders.
fn build() -> io::Result<[PathBuf; 2]> {
    let ours = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    mount_change("/", ours)?;
    let root_names = names("/")?;
    let var_names = names("/var")?;
    memory(Path::new(NEW_ROOT), MEMORY)?;
    let root = Path::new(NEW_ROOT);
    for name in root_names {
        if !["opt", "tmp", "var"].iter().any(|&own| name == own) {
            bind(&Path::new("/").join(&name), &root.join(&name))?;
        }
    }
    fs::create_dir(root.join("var"))?;
    for name in var_names.into_iter().filter(|name| name != "task") {
        bind(
            &Path::new("/var").join(&name),
            &root.join("var").join(&name),
        )?;
    }
    for (folder, options) in [("opt", MEMORY), ("var/task", MEMORY), ("tmp", TMP)] {
        fs::create_dir(root.join(folder))?;
        memory(&root.join(folder), options)?;
    }
    Ok([root.join("opt"), root.join("var/task")])
}

fn names(folder: &str) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect()
}

fn memory(at: &Path, options: &CStr) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount("lambda-local", at, "tmpfs", flags, options)?)
}

fn bind(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if metadata.is_dir() {
        fs::create_dir(to)?;
    } else {
        File::create(to)?;
    }
    Ok(mount_bind_recursive(from, to)?)
}

/// Makes what was filled read-only, and the new root the root.
fn close(filled: &[&Path]) -> io::Result<()> {
    let read_only = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    for folder in filled {
        mount_remount(*folder, read_only, c"")?;
    }
    let old = Path::new(NEW_ROOT).join("machine");
    fs::create_dir(&old)?;
    pivot_root(NEW_ROOT, &old)?;
    env::set_current_dir("/")?;
    unmount("/machine", UnmountFlags::DETACH)?;
    fs::remove_dir("/machine")?;
    Ok(mount_remount("/", read_only, c"")?)
}
