//! The resource limits of the process (setrlimit).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For this process, and for php-fpm, which inherits them.
pub(super) fn apply(slots: usize) {
    // a limit that cannot be changed is no reason not to start
    let set = |resource, limit| _ = setrlimit(resource, limit);
    // a crashing worker must not fill /tmp
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    set(Resource::Core, none);
    // a slot has about ten descriptors here, and php-fpm has some for each
    if slots > 1 {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let all = Rlimit {
            current: maximum,
            maximum,
        };
        set(Resource::Nofile, all);
    }
}
