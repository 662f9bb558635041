//! Layers and a function as Lambda has them: unpacked over one another at `/opt`, and at `/var/task`, read-only.
//!
//! ```text
//! package      every entry is checked before anything is written
//!  → archive      of a zip                                  folder   of the folder that one would be made of
//!   → entry        what a name and a link may be (pure)
//! in_place     the folders themselves, where they are this user's own and empty: in a container
//! namespace    else a user and mount namespace for this process, with a root of its own
//!  → tree         writes the packages, the later over the earlier, and takes the right to write away
//! ```

mod archive;
pub(crate) mod entry;
mod error;
mod folder;
mod in_place;
mod namespace;
mod package;
mod tree;

use std::{fs, path::Path, path::PathBuf};

use crate::local::deployment::{
    entry::{OPT, TASK_ROOT},
    error::Reason,
    in_place::InPlace,
    package::{Package, UNZIPPED_LIMIT},
    tree::Tree,
};

pub use crate::local::deployment::error::DeploymentError;

/// How many layers a function may have (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const MOST_LAYERS: usize = 5;

/// A function and its layers in their places; dropped, it takes them away again.
#[derive(Debug)]
pub struct Deployment {
    /// What the log should say about it.
    pub notes: Vec<String>,
    _in_place: Option<InPlace>,
}

/// Puts `layers`, in their order, and `function` (zips or folders) into their places. The process must have one thread
/// still: it may enter a namespace.
///
/// # Errors
/// Where Lambda would refuse a package, where one is hostile, and where the places cannot be had.
pub fn deploy(layers: &[PathBuf], function: &Path) -> Result<Deployment, DeploymentError> {
    if layers.len() > MOST_LAYERS {
        let count = layers.len();
        return Err(Reason::TooManyLayers { count }.into());
    }
    let layers = layers
        .iter()
        .map(|layer| Package::open(layer))
        .collect::<Result<Vec<_>, _>>()?;
    let function = Package::open(function)?;
    let mut declared: u64 = 0;
    let mut notes = Vec::new();
    for package in layers.iter().chain([&function]) {
        declared = declared.saturating_add(package.size());
        if declared > UNZIPPED_LIMIT {
            let package = package.path().to_owned();
            return Err(Reason::TooLarge { package }.into());
        }
        notes.extend(package.warnings());
        if let Some(path) = package.nested_bootstrap() {
            notes.push(format!(
                "{} has its bootstrap in a folder ({}), where Lambda does not look: zip what is in the folder, not the folder",
                package.path().display(),
                path.display()
            ));
        }
    }
    let fill = |opt: &Path, task_root: &Path| fill(layers, function, opt, task_root);
    match InPlace::take() {
        Ok(in_place) => {
            fill(Path::new(OPT), Path::new(TASK_ROOT))?;
            if fs::read_dir("/tmp").is_ok_and(|mut entries| entries.next().is_some()) {
                notes.push("/tmp is not empty, and in a new sandbox of Lambda it is".into());
            }
            Ok(Deployment {
                notes,
                _in_place: Some(in_place),
            })
        }
        Err(untaken) => {
            namespace::enter(untaken, fill)?;
            Ok(Deployment {
                notes,
                _in_place: None,
            })
        }
    }
}

fn fill(
    layers: Vec<Package>,
    function: Package,
    opt: &Path,
    task_root: &Path,
) -> Result<(), DeploymentError> {
    let mut left = UNZIPPED_LIMIT;
    let mut tree = Tree::new(opt.to_owned());
    for layer in layers {
        layer.unpack(&mut tree, &mut left)?;
    }
    finish(tree, opt)?;
    let mut tree = Tree::new(task_root.to_owned());
    function.unpack(&mut tree, &mut left)?;
    finish(tree, task_root)
}

fn finish(tree: Tree, root: &Path) -> Result<(), DeploymentError> {
    let path = root.to_owned();
    tree.finish()
        .map_err(|source| Reason::Unwritten { path, source }.into())
}
