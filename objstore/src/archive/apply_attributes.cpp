#include "apply_attributes.hpp"

#include <functional>

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

// What only led to what was backed up belonged to whoever it did; a user who makes it anew for themselves loses
// nothing.
bool is_leading(const Inode& inode) {
    return inode.type == base::FileType::directory && inode.source_inode == 0 && inode.mtime == base::Timestamp{};
}

// chown takes set-id bits and security.capability away, and an attribute can only be set while the mode lets us write:
// owner, attributes, mode, time.
void apply(const Setters& set, const Attributes& attributes, const std::string& path, bool privileged,
           SharedWarnings& warnings) {
    const auto& inode = attributes.inode;
    const bool leading = is_leading(inode);
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
        // Set-id bits for another owner than the file got would hand our rights to strangers.
        const auto stat = set.stat();
        if (stat && (stat->uid != inode.uid || stat->gid != inode.gid)) *metadata.mode &= 01777U;
    }
    warn_of(warnings, WarningKind::metadata, path, set.set_metadata(metadata));
}

}  // namespace

void apply_attributes(base::LocalFile& file, const Attributes& attributes, const std::string& path, bool privileged,
                      SharedWarnings& warnings) {
    const Setters set{[&] { return file.stat(); }, [&](const base::Xattr& xattr) { return file.set_xattr(xattr); },
                      [&](const base::Metadata& metadata) { return file.set_metadata(metadata); }};
    apply(set, attributes, path, privileged, warnings);
}

void apply_attributes(base::LocalDirectory& directory, const Attributes& attributes, const std::string& path,
                      bool privileged, SharedWarnings& warnings) {
    const Setters set{[&] { return directory.stat(); },
                      [&](const base::Xattr& xattr) { return directory.set_xattr(xattr); },
                      [&](const base::Metadata& metadata) { return directory.set_metadata(metadata); }};
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
