//! A package that is a zip.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use zip::{CompressionMethod, ZipArchive};

use crate::local::deployment::{
    entry::{self, Entry, Fault, Kind, Listing},
    error::{DeploymentError, Reason},
};

const LONGEST_TARGET: u64 = 4096;

pub(super) const FORMAT: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
pub(super) const LINK: u32 = 0o120_000;

pub(super) struct Archive {
    archive: Box<ZipArchive<BufReader<File>>>,
    /// Of the entries: the zip may list its own folder, which is none.
    indices: Vec<usize>,
    zipped: u64,
}

impl Archive {
    /// Opens the zip at `path`, of `zipped` bytes, and lists what is in it.
    pub(super) fn open(
        path: &Path,
        file: File,
        zipped: u64,
    ) -> Result<(Self, Listing), DeploymentError> {
        let no_zip = |error: zip::result::ZipError| Reason::NoZip {
            package: path.to_owned(),
            why: error.to_string(),
        };
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(no_zip)?;
        let mut entries = Vec::new();
        let mut indices = Vec::new();
        let mut size: u64 = 0;
        for index in 0..archive.len() {
            // Raw, since what is encrypted or compressed in another way is to be named before it is refused.
            let file = archive.by_index_raw(index).map_err(no_zip)?;
            let name = String::from_utf8_lossy(file.name_raw()).into_owned();
            let refused = |fault| DeploymentError::of_entry(path, &name, fault);
            let at = entry::path(file.name_raw()).map_err(refused)?;
            if file.encrypted() {
                return Err(refused(Fault::Unreadable("it is encrypted".into())));
            }
            let method = file.compression();
            if ![CompressionMethod::Stored, CompressionMethod::Deflated].contains(&method) {
                let why = format!("it is compressed with {method}, and not with deflate");
                return Err(refused(Fault::Unreadable(why)));
            }
            size = size.saturating_add(file.size());
            let is_folder = file.name_raw().ends_with(b"/");
            // What comes from another system than Unix has no mode of its own.
            let mode = file.unix_mode().unwrap_or(0);
            let mode = match (mode & 0o7777, is_folder) {
                (0, true) if mode & FORMAT == 0 => 0o755,
                (0, false) if mode & FORMAT == 0 => 0o644,
                (permissions, _) => permissions,
            };
            let kind = match (file.unix_mode().unwrap_or(0) & FORMAT, is_folder) {
                (0 | FOLDER, true) | (FOLDER, false) => Kind::Folder,
                (0 | FILE, false) => Kind::File,
                (LINK, false) => {
                    drop(file);
                    let target = archive
                        .by_index(index)
                        .map_err(no_zip)
                        .map(|file| file.take(LONGEST_TARGET + 1))?;
                    let target =
                        read(target).map_err(|why| refused(Fault::Unreadable(why.to_string())))?;
                    if target.len() as u64 > LONGEST_TARGET {
                        return Err(refused(Fault::TooLargeALink));
                    }
                    Kind::Link(entry::target(&at, &target).map_err(refused)?)
                }
                _ => return Err(refused(Fault::Special)),
            };
            if at.as_os_str().is_empty() {
                continue;
            }
            indices.push(index);
            entries.push(Entry {
                path: at,
                kind,
                mode,
            });
        }
        let archive = Self {
            archive: Box::new(archive),
            indices,
            zipped,
        };
        Ok((archive, Listing { entries, size }))
    }

    /// How large the zip is.
    pub(super) fn zipped(&self) -> u64 {
        self.zipped
    }

    /// The contents of the entry with this number.
    pub(super) fn read(&mut self, number: usize) -> Result<Box<dyn Read + '_>, String> {
        match self.archive.by_index(self.indices[number]) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn read(mut source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes)?;
    Ok(bytes)
}
