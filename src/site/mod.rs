//! A whole site: the handler is a folder. Which script, or which file, does a path mean?

pub mod answer;
pub mod body;
mod folder;
mod path;
mod validators;

use std::io;
use std::path::{Path as FilePath, PathBuf};

use self::folder::{Entry, Folder, Found};
use self::path::{Path, is_script};
use crate::cgi::params::{PathInfo, Script, without_base};
use crate::event::http_request::HttpRequest;

/// What answers for a folder, in this order, as nginx and Apache are mostly told.
const INDEX: [&str; 2] = [INDEX_PHP, "index.html"];

/// In the site's own folder: what answers where nothing else does.
const INDEX_PHP: &str = "index.php";

/// A folder that is served: its scripts are run, its other files are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    folder: Folder,
    document_root: String,
    base_path: Option<String>,
    cache_control: Option<String>,
}

/// What a request means.
pub enum Target {
    /// This script runs.
    Script(Script),
    /// No script answers: [`Site::answer`] does.
    Static(Static),
}

/// What needs no PHP.
pub enum Static {
    /// This file is sent.
    File(StaticFile),
    /// The path is a folder's and lacks its slash: where it has it, relative to the request's address.
    Redirect(String),
    /// 404.
    NotFound,
}

/// A file that is no script.
pub struct StaticFile {
    /// Below the site's folder.
    path: String,
    found: Found,
}

impl StaticFile {
    /// Below the site's folder.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// In bytes.
    #[allow(clippy::len_without_is_empty, reason = "it is no container")]
    pub fn len(&self) -> u64 {
        self.found.metadata.len()
    }
}

impl Site {
    /// The site at `folder` below `task_root` (an empty path is the task root itself); `base_path` is taken off each path,
    /// `cache_control` goes with each file. An error: the folder cannot be found.
    pub fn new(
        task_root: &FilePath,
        folder: &FilePath,
        base_path: Option<String>,
        cache_control: Option<String>,
    ) -> io::Result<Site> {
        let path = match folder.as_os_str().is_empty() {
            true => task_root.to_owned(),
            false => task_root.join(folder),
        };
        let document_root = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        // a site that is the task root has the runtime's own settings in it
        let own = ["php.ini", "php/conf.d", "php/opcache", "bootstrap"];
        let own: [PathBuf; 4] = own.map(|name| task_root.join(name));
        Ok(Site {
            document_root: document_root.trim_end_matches('/').to_owned(),
            folder: Folder::new(&path, &own)?,
            base_path,
            cache_control,
        })
    }

    /// What the request's path means. An error is no fault of the request.
    pub fn find(&self, request: &HttpRequest<'_>) -> io::Result<Target> {
        let raw = without_base(&request.path, self.base_path.as_deref());
        let found = match Path::parse(&raw) {
            Some(path) => self.find_path(&path, &request.query)?,
            None => None,
        };
        Ok(match found {
            Some(target) => target,
            None => match self.front_controller()? {
                Some(script) => Target::Script(script),
                None => Target::Static(Static::NotFound),
            },
        })
    }

    /// The site's own `index.php`, where there is one.
    pub fn front_controller(&self) -> io::Result<Option<Script>> {
        match self.folder.look(INDEX_PHP)? {
            Entry::File(_) => Ok(Some(self.script(INDEX_PHP, None))),
            _ => Ok(None),
        }
    }

    fn find_path(&self, path: &Path<'_>, query: &[u8]) -> io::Result<Option<Target>> {
        if let Some(whole) = path.whole() {
            match self.folder.look(&whole)? {
                Entry::Folder => return self.find_index(path, &whole, query),
                Entry::File(found) if !path.ends_in_slash() => {
                    return Ok(self.file(whole, found));
                }
                Entry::File(_) | Entry::Missing => {}
            }
        }
        for (name, behind) in path.scripts() {
            if let Entry::File(_) = self.folder.look(&name)? {
                return Ok(Some(Target::Script(self.script(&name, Some(behind)))));
            }
        }
        Ok(None)
    }

    /// A folder without an index is left to the front controller, whose route may have the same name.
    fn find_index(
        &self,
        path: &Path<'_>,
        folder: &str,
        query: &[u8],
    ) -> io::Result<Option<Target>> {
        for index in INDEX {
            let index = match folder {
                "" => index.to_owned(),
                folder => format!("{folder}/{index}"),
            };
            if let Entry::File(found) = self.folder.look(&index)? {
                return Ok(match path.ends_in_slash() || folder.is_empty() {
                    true => self.file(index, found),
                    false => {
                        let location = with_slash(path.last_raw(), query);
                        Some(Target::Static(Static::Redirect(location)))
                    }
                });
            }
        }
        Ok(None)
    }

    fn file(&self, path: String, found: Found) -> Option<Target> {
        if is_script(&path) {
            return Some(Target::Script(self.script(&path, None)));
        }
        let is_shown = !found.is_source && !path::is_source(&path);
        is_shown.then(|| Target::Static(Static::File(StaticFile { path, found })))
    }

    fn script(&self, path: &str, path_info: Option<Vec<u8>>) -> Script {
        Script {
            filename: format!("{}/{path}", self.document_root),
            document_root: self.document_root.clone(),
            name: format!("/{path}"),
            base_path: self.base_path.clone(),
            path_info: PathInfo::Found(path_info),
        }
    }
}

/// The address with a slash behind its last segment. Relative, since nobody but the client knows all that stands in front of
/// it: a stage, a base path, a proxy's own prefix; and it can lead to no other host.
fn with_slash(last: &[u8], query: &[u8]) -> String {
    let question_mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    let mut location = String::new();
    for byte in [b"./", last, b"/", question_mark, query].concat() {
        match byte {
            b'!'..=b'~' => location.push(char::from(byte)),
            // as it is, it could begin another header
            byte => location.push_str(&format!("%{byte:02X}")),
        }
    }
    location
}
