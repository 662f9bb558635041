//! Files in the kernel's page cache, and out of it again.

use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::ptr;

use rustix::fs::Advice;

/// What a start reads: whole folders, and whatever a process has mapped.
#[derive(Default)]
pub struct Files(BTreeSet<PathBuf>);

impl Files {
    pub fn add_file(&mut self, path: &Path) {
        self.0.insert(path.to_owned());
    }

    /// All below a folder.
    pub fn add_folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                self.add_folder(&entry.path());
            } else if kind.is_file() {
                self.0.insert(entry.path());
            }
        }
    }

    /// The programs and libraries of a process that runs.
    pub fn add_mapped_by(&mut self, pid: u32) {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process runs");
        let paths = maps
            .lines()
            .filter_map(|line| Some(Path::new(&line[line.find('/')?..])));
        self.0
            .extend(paths.filter(|path| path.is_file()).map(Path::to_owned));
    }

    pub fn bytes(&self) -> u64 {
        self.0
            .iter()
            .filter_map(|path| Some(path.metadata().ok()?.len()))
            .sum()
    }

    /// Takes their pages out. It is advice: the kernel keeps what a process has mapped, and FUSE has pages of its own.
    pub fn evict(&self) {
        for path in &self.0 {
            if let Ok(file) = File::open(path) {
                // whether it did is asked for afterwards
                let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            }
        }
    }

    /// Which part of their pages is there now. The kernel tells it only to a file's owner, so others are left out;
    /// `None` where there are only such.
    pub fn resident_part(&self) -> Option<f64> {
        let user = rustix::process::geteuid();
        let is_ours = |path: &&PathBuf| {
            path.metadata().is_ok_and(|metadata| {
                metadata.len() > 0 && (user.is_root() || metadata.uid() == user.as_raw())
            })
        };
        let (mut resident, mut all) = (0, 0);
        for path in self.0.iter().filter(is_ours) {
            let pages = resident_pages(path).ok()?;
            resident += pages.iter().filter(|&&page| page & 1 == 1).count();
            all += pages.len();
        }
        (all > 0).then(|| resident as f64 / all as f64)
    }
}

/// One byte a page, its lowest bit set for a page that is there.
#[allow(
    unsafe_code,
    reason = "mincore wants a mapping; this one is made here, never read, and gone at its end"
)]
fn resident_pages(path: &Path) -> io::Result<Vec<u8>> {
    unsafe extern "C" {
        fn mmap(
            start: *mut c_void,
            len: usize,
            protection: c_int,
            flags: c_int,
            fd: c_int,
            offset: i64,
        ) -> *mut c_void;
        fn mincore(start: *mut c_void, len: usize, pages: *mut u8) -> c_int;
        fn munmap(start: *mut c_void, len: usize) -> c_int;
        safe fn getpagesize() -> c_int;
    }
    const PROT_READ: c_int = 1;
    const MAP_SHARED: c_int = 1;
    let file = File::open(path)?;
    let len = file.metadata()?.len() as usize;
    let mut pages = vec![0; len.div_ceil(getpagesize() as usize)];
    unsafe {
        let start = mmap(
            ptr::null_mut(),
            len,
            PROT_READ,
            MAP_SHARED,
            file.as_raw_fd(),
            0,
        );
        if start.addr() == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        let told = match mincore(start, len, pages.as_mut_ptr()) {
            0 => Ok(pages),
            _ => Err(io::Error::last_os_error()),
        };
        munmap(start, len);
        told
    }
}
