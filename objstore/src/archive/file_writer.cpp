#include "file_writer.hpp"

#include <algorithm>
#include <functional>
#include <limits>

#include "apply_attributes.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::numeric_limits<std::int64_t>::max();

// A name nobody else uses: the inode number is unique within the snapshot, and one restore writes one inode once.
std::string temporary_name(const TargetFile& file) { return ".pelago-" + std::to_string(file.number) + ".restoring"; }

bool keeps(Overwrite overwrite, const base::FileStat& there, const Inode& ours) {
    switch (overwrite) {
        case Overwrite::always: return false;
        case Overwrite::if_changed: {
            const bool same_size = ours.type != base::FileType::regular || there.size == ours.size;
            return there.type == ours.type && same_size && there.mtime == ours.mtime;
        }
        case Overwrite::if_newer: return there.mtime >= ours.mtime;
        case Overwrite::never: return true;
    }
    return true;
}

WarningKind kind_of(const base::Error& error) {
    return error == base::Errc::bad_argument ? WarningKind::refused : WarningKind::unwritable;
}

// Makes something under `name`, or, if that is taken, under another name that then replaces it. Nothing is followed.
FileResult make_named(TargetTree& tree, const TargetFile& file, Overwrite overwrite, SharedWarnings& warnings,
                      const std::function<base::Result<void>(base::LocalDirectory&, const std::string&)>& make) {
    FileResult result;
    auto directory = tree.open(file.directory);
    if (!directory) return result;  // warned of when it was not made
    const auto path = tree.path(file.directory, file.name);
    auto made = make(**directory, file.name);
    std::string name = file.name;
    if (!made && made.error() == base::Errc::exists) {
        const auto there = (*directory)->stat(file.name);
        if (there && keeps(overwrite, *there, file.attributes.inode)) {
            result.made = Made::kept;
            warnings.add(WarningKind::skipped, path, {});
            return result;
        }
        name = temporary_name(file);
        std::ignore = (*directory)->remove(name);  // of a restore that was interrupted
        made = make(**directory, name);
    }
    if (made && name != file.name) {
        made = (*directory)->rename(name, file.name);
        if (!made) std::ignore = (*directory)->remove(name);
    }
    if (!made) {
        warnings.add(kind_of(made.error()), path, made.error());
        return result;
    }
    result.made = Made::made;
    return result;
}

}  // namespace

base::Result<std::vector<Node::Stretch>> usable_extents(const Node& node) {
    const auto refuse = [](const char* why) { return base::Error{Errc::damaged, why}; };
    if (node.inode->size > kMaxFileBytes) return refuse("its size is beyond what a file can have");
    std::vector<Node::Stretch> usable;
    std::uint64_t end = 0;
    for (const auto& stretch : node.extents) {
        if (stretch.offset < end) return refuse("its extents overlap");
        if (stretch.offset > node.inode->size || stretch.extent.length > node.inode->size - stretch.offset) {
            return refuse("an extent reaches beyond its size");
        }
        end = stretch.offset + stretch.extent.length;
        if (stretch.extent.block && stretch.extent.length > 0) usable.push_back(stretch);
    }
    return usable;
}

FileWriter::FileWriter(TargetTree& tree, TargetFile file, Overwrite overwrite, SharedWarnings& warnings)
    : tree_{tree}, file_{std::move(file)}, overwrite_{overwrite}, warnings_{warnings} {}

FileWriter::~FileWriter() {
    if (!open_) return;
    open_.reset();
    std::ignore = directory_->remove(temporary_.empty() ? file_.name : temporary_);
}

void FileWriter::fail(WarningKind kind, const base::Error& error) {
    if (!failed_) warnings_.add(kind, tree_.path(file_.directory, file_.name), error);
    failed_ = true;
}

bool FileWriter::keep_existing() {
    const auto there = directory_->stat(file_.name);
    return there && keeps(overwrite_, *there, file_.attributes.inode);
}

bool FileWriter::begin() {
    auto directory = tree_.open(file_.directory);
    if (!directory) {
        failed_ = true;
        return false;
    }
    directory_ = std::move(*directory);
    auto created = directory_->create_file(file_.name);
    if (!created && created.error() == base::Errc::exists) {
        if (keep_existing()) {
            result_.made = Made::kept;
            warnings_.add(WarningKind::skipped, tree_.path(file_.directory, file_.name), {});
            return false;
        }
        temporary_ = temporary_name(file_);
        std::ignore = directory_->remove(temporary_);  // of a restore that was interrupted
        created = directory_->create_file(temporary_);
    }
    if (!created) {
        fail(kind_of(created.error()), created.error());
        return false;
    }
    open_ = std::move(*created);
    return true;
}

bool FileWriter::write(std::uint64_t offset, base::ByteView bytes) {
    if (failed_) return false;
    if (const auto written = open_->write_at(offset, bytes); !written) {
        fail(WarningKind::unwritable, written.error());
        return false;
    }
    result_.bytes += bytes.size();
    return true;
}

FileResult FileWriter::finish() {
    if (!open_ || failed_) return result_;
    const auto size = file_.attributes.inode.size;
    const auto end = file_.extents.empty() ? 0 : file_.extents.back().offset + file_.extents.back().extent.length;
    if (end < size) {
        if (const auto grown = open_->truncate(size); !grown) {
            fail(WarningKind::unwritable, grown.error());
            return result_;
        }
    }
    const auto path = tree_.path(file_.directory, file_.name);
    apply_attributes(*open_, file_.attributes, path, tree_.privileged(), warnings_);
    written_ = std::move(open_);
    if (!temporary_.empty()) {
        if (const auto renamed = directory_->rename(temporary_, file_.name); !renamed) {
            std::ignore = directory_->remove(temporary_);
            fail(WarningKind::unwritable, renamed.error());
            return result_;
        }
    }
    result_.made = Made::made;
    return result_;
}

bool FileWriter::verify(std::uint64_t offset, base::ByteView bytes) {
    const auto differs = [this](const base::Error& error) {
        fail(WarningKind::differs, error);
        return false;
    };
    const auto stat = written_->stat();
    if (!stat || stat->size != file_.attributes.inode.size)
        return differs(base::Error{base::Errc::corrupt, "its size"});
    base::Bytes back(bytes.size());
    std::size_t done = 0;
    while (done < back.size()) {
        const auto read = written_->read_at(offset + done, std::span{back}.subspan(done));
        if (!read) return differs(read.error());
        if (*read == 0) break;
        done += *read;
    }
    if (done != back.size() || !std::equal(back.begin(), back.end(), bytes.begin(), bytes.end())) {
        return differs(base::Error{base::Errc::corrupt, "at byte " + std::to_string(offset)});
    }
    return true;
}

FileResult make_special_file(TargetTree& tree, const TargetFile& file, Overwrite overwrite, SharedWarnings& warnings) {
    const auto& inode = file.attributes.inode;
    const auto path = tree.path(file.directory, file.name);
    const bool device = inode.type == base::FileType::character || inode.type == base::FileType::block;
    if (device && !tree.privileged()) {
        warnings.add(WarningKind::unprivileged, path, base::Error{base::Errc::denied, "a device node"});
        return {};
    }
    const auto result = make_named(tree, file, overwrite, warnings,
                                   [&](base::LocalDirectory& directory, const std::string& name) -> base::Result<void> {
                                       if (inode.type == base::FileType::symlink) {
                                           return directory.make_symlink(name, file.link_target);
                                       }
                                       return directory.make_special(name, inode.type, device ? inode.rdev : 0);
                                   });
    if (result.made != Made::made) return result;
    if (auto directory = tree.open(file.directory)) {
        apply_attributes(**directory, file.name, file.attributes, path, tree.privileged(), warnings);
    }
    return result;
}

FileResult make_hard_link(TargetTree& tree, const TargetFile& name, std::uint32_t from_directory,
                          const std::string& from_name, Overwrite overwrite, SharedWarnings& warnings) {
    auto from = tree.open(from_directory);
    if (!from) return {};
    return make_named(tree, name, overwrite, warnings, [&](base::LocalDirectory& directory, const std::string& as) {
        return directory.make_link(as, **from, from_name);
    });
}

}  // namespace objstore::archive
