#include "apply_attributes.hpp"

#include <algorithm>
#include <functional>

#include "objstore/archive/snapshot_reader.hpp"

namespace objstore::archive {
namespace {

struct Setters {
    std::function<base::Result<base::FileStat>()> stat;
    std::function<base::Result<void>(const base::Xattr&)> set_xattr;
    std::function<base::Result<void>(const base::Metadata&)> set_metadata;
};

bool needs_privilege(const std::string& xattr) {
    return xattr.starts_with("trusted.") || xattr.starts_with("security.");
}

// Labels are the system's own: it gives each file one, by its policy. So are attributes that only show what a file
// system holds elsewhere (system.nfs4_acl).
bool is_users_own(const std::string& xattr) {
    return xattr.starts_with("user.") || xattr.starts_with("trusted.") || xattr.starts_with("system.posix_acl_") ||
           xattr == "security.capability";
}

bool has(const std::vector<base::Xattr>& xattrs, const std::string& name) {
    return std::ranges::any_of(xattrs, [&](const base::Xattr& xattr) { return xattr.name == name; });
}

bool same_xattrs(const std::vector<base::Xattr>& there, const std::vector<base::Xattr>& wanted, bool privileged) {
    const auto extra = [&](const base::Xattr& xattr) { return is_users_own(xattr.name) && !has(wanted, xattr.name); };
    const auto missing = [&](const base::Xattr& xattr) {
        if (!privileged && needs_privilege(xattr.name)) return false;  // could not be set
        return std::ranges::find(there, xattr) == there.end();
    };
    return std::ranges::none_of(there, extra) && std::ranges::none_of(wanted, missing);
}

// Set-id bits for another owner than the file got would hand our rights to strangers.
std::uint32_t mode_for(const Inode& inode, const base::FileStat& stat, bool privileged) {
    const bool other = stat.uid != inode.uid || stat.gid != inode.gid;
    return !privileged && other && inode.type == base::FileType::regular ? inode.mode & 01777U : inode.mode;
}

// Of a file that is ours, or was made by whom the snapshot says: nobody else has a say in what it becomes.
bool same_attributes(const base::FileStat& stat, const base::Result<std::vector<base::Xattr>>& xattrs,
                     const Attributes& attributes, const TargetTree& tree) {
    const auto& inode = attributes.inode;
    const bool owner = tree.privileged() ? stat.uid == inode.uid && stat.gid == inode.gid
                                         : stat.uid == inode.uid || stat.uid == tree.user_id();
    const bool mode = inode.type == base::FileType::symlink || stat.mode == mode_for(inode, stat, tree.privileged());
    return owner && mode && stat.mtime == inode.mtime && xattrs &&
           same_xattrs(*xattrs, attributes.xattrs, tree.privileged());
}

void set_owner(const Setters& set, const Inode& inode, const std::string& path, bool privileged,
               SharedWarnings& warnings) {
    const auto stat = set.stat();
    if (stat && stat->uid == inode.uid && stat->gid == inode.gid) return;
    if (!privileged && stat && stat->uid != inode.uid) {
        warnings.add(WarningKind::owner, path, base::Error{base::Errc::denied, "only root gives files away"});
        return;
    }
    base::Metadata owner;
    if (privileged) owner.uid = inode.uid;
    owner.gid = inode.gid;  // anybody may give to a group of theirs
    warn_of(warnings, WarningKind::owner, path, set.set_metadata(owner));
}

// chown takes set-id bits and security.capability away, and an attribute can only be set while the mode lets us write:
// owner, attributes, mode, time.
void apply(const Setters& set, const Attributes& attributes, const std::string& path, bool privileged,
           SharedWarnings& warnings) {
    const auto& inode = attributes.inode;
    const bool leading = is_leading(inode);
    // It belonged to whoever it did; a user who makes it anew for themselves loses nothing.
    if (leading && !privileged) {
        base::Metadata metadata;
        metadata.mode = inode.mode;
        std::ignore = set.set_metadata(metadata);
        return;
    }
    set_owner(set, inode, path, privileged, warnings);
    for (const auto& xattr : attributes.xattrs) {
        const auto done = set.set_xattr(xattr);
        if (done) continue;
        const bool rights = !privileged && needs_privilege(xattr.name);
        warnings.add(rights ? WarningKind::unprivileged : WarningKind::attributes, path, done.error().with(xattr.name));
    }
    base::Metadata metadata;
    if (inode.type != base::FileType::symlink) metadata.mode = inode.mode;
    if (!leading) metadata.mtime = inode.mtime;
    if (!privileged && metadata.mode && inode.type == base::FileType::regular) {
        if (const auto stat = set.stat()) metadata.mode = mode_for(inode, *stat, privileged);
    }
    warn_of(warnings, WarningKind::metadata, path, set.set_metadata(metadata));
}

// Attributes of a directory that was there before and the snapshot does not have. Of one that only leads to what was
// backed up the snapshot does not know any.
void remove_others(base::LocalDirectory& directory, const Attributes& attributes, const std::string& path,
                   SharedWarnings& warnings) {
    if (is_leading(attributes.inode)) return;
    const auto there = directory.xattrs();
    if (!there) return;
    for (const auto& xattr : *there) {
        if (!is_users_own(xattr.name) || has(attributes.xattrs, xattr.name)) continue;
        warn_of(warnings, WarningKind::attributes, path, directory.remove_xattr(xattr.name));
    }
}

Setters setters_of(base::LocalFile& file) {
    return {[&file] { return file.stat(); }, [&file](const base::Xattr& xattr) { return file.set_xattr(xattr); },
            [&file](const base::Metadata& metadata) { return file.set_metadata(metadata); }};
}

}  // namespace

bool has_attributes(base::LocalFile& file, const base::FileStat& stat, const Attributes& attributes,
                    const TargetTree& tree) {
    return same_attributes(stat, file.xattrs(), attributes, tree);
}

bool has_attributes(base::LocalDirectory& directory, const std::string& name, const base::FileStat& stat,
                    const Attributes& attributes, const TargetTree& tree) {
    return same_attributes(stat, directory.xattrs(name), attributes, tree);
}

void apply_attributes(base::LocalFile& file, const Attributes& attributes, const std::string& path, bool privileged,
                      SharedWarnings& warnings) {
    apply(setters_of(file), attributes, path, privileged, warnings);
}

void set_owner(base::LocalFile& file, const Attributes& attributes, const std::string& path, bool privileged,
               SharedWarnings& warnings) {
    set_owner(setters_of(file), attributes.inode, path, privileged, warnings);
}

void apply_attributes(base::LocalDirectory& directory, const Attributes& attributes, const std::string& path,
                      bool privileged, SharedWarnings& warnings) {
    const Setters set{[&] { return directory.stat(); },
                      [&](const base::Xattr& xattr) { return directory.set_xattr(xattr); },
                      [&](const base::Metadata& metadata) { return directory.set_metadata(metadata); }};
    remove_others(directory, attributes, path, warnings);
    apply(set, attributes, path, privileged, warnings);
}

void apply_attributes(base::LocalDirectory& directory, const std::string& name, const Attributes& attributes,
                      const std::string& path, bool privileged, SharedWarnings& warnings) {
    const Setters set{[&] { return directory.stat(name); },
                      [&](const base::Xattr& xattr) { return directory.set_xattr(name, xattr); },
                      [&](const base::Metadata& metadata) { return directory.set_metadata(name, metadata); }};
    apply(set, attributes, path, privileged, warnings);
}

}  // namespace objstore::archive
