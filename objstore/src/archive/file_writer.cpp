#include "file_writer.hpp"

#include <algorithm>
#include <functional>
#include <limits>

#include "apply_attributes.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kZerosAtOnce = 256U << 10U;
constexpr std::string_view kTemporaryBegin = ".pelago-";
constexpr std::string_view kTemporaryEnd = ".restoring";

// A name nobody else uses: the inode number is unique within the snapshot, and one restore writes one inode once.
std::string temporary_name(const TargetFile& file) {
    return std::string{kTemporaryBegin} + std::to_string(file.number) + std::string{kTemporaryEnd};
}

// Whether what is there stays because the user wants it so, or because it looks as if nothing had changed.
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

/// Kept by the user's wish: told, since it may be another file. What is unchanged is what was asked for.
FileResult kept(const Making& making, const std::string& path) {
    FileResult result;
    result.made = making.overwrite == Overwrite::if_changed ? Made::same : Made::kept;
    if (result.made == Made::kept) making.warnings.add(WarningKind::skipped, path, {});
    return result;
}

using Make = std::function<base::Result<void>(base::LocalDirectory&, const std::string&)>;

// Makes something under `name`, or, if that is taken, under another name that then replaces it. Nothing is followed.
base::Result<void> make_named(base::LocalDirectory& directory, const TargetFile& file, const Make& make) {
    auto made = make(directory, file.name);
    if (made || !(made.error() == base::Errc::exists)) return made;
    const auto name = temporary_name(file);
    std::ignore = directory.remove(name);  // of a restore that was interrupted
    BASE_CHECK(make(directory, name));
    made = directory.rename(name, file.name);
    if (!made) std::ignore = directory.remove(name);
    return made;
}

bool same_special(base::LocalDirectory& directory, const TargetFile& file, const base::FileStat& there,
                  const TargetTree& tree) {
    const auto& inode = file.attributes.inode;
    if (there.type != inode.type || there.nlink > inode.nlink) return false;
    if (inode.type == base::FileType::symlink) {
        const auto target = directory.read_link(file.name);
        if (!target || *target != file.link_target) return false;
    }
    const bool device = inode.type == base::FileType::character || inode.type == base::FileType::block;
    if (device && there.rdev != inode.rdev) return false;
    return has_attributes(directory, file.name, there, file.attributes, tree);
}

}  // namespace

bool is_temporary_name(std::string_view name) {
    if (!name.starts_with(kTemporaryBegin) || !name.ends_with(kTemporaryEnd)) return false;
    if (name.size() <= kTemporaryBegin.size() + kTemporaryEnd.size()) return false;
    name.remove_prefix(kTemporaryBegin.size());
    name.remove_suffix(kTemporaryEnd.size());
    return name.find_first_not_of("0123456789") == name.npos;
}

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

FileWriter::FileWriter(const Making& making, TargetFile file)
    : making_{making}, file_{std::move(file)}, temporary_{temporary_name(file_)} {}

FileWriter::~FileWriter() {
    if (open_ && failed_) std::ignore = directory_->remove(temporary_);
}

void FileWriter::fail(WarningKind kind, const base::Error& error) {
    if (!failed_) making_.warnings.add(kind, path(), error);
    failed_ = true;
}

FileWriter::Found FileWriter::look() {
    auto directory = making_.tree.open(file_.directory);
    if (!directory) {
        failed_ = true;
        return Found::done;
    }
    directory_ = std::move(*directory);
    if (making_.tree.is_new(file_.directory)) return Found::nothing;
    const auto there = directory_->stat(file_.name);
    if (!there) return Found::nothing;
    const bool unchanged = making_.overwrite == Overwrite::if_changed;
    if (keeps(making_.overwrite, *there, file_.attributes.inode) && !(unchanged && making_.verify)) {
        result_ = kept(making_, path());
        return Found::done;
    }
    const bool by_content = making_.overwrite == Overwrite::always || unchanged;
    return by_content && looks_the_same(*there) ? Found::candidate : Found::nothing;
}

bool FileWriter::looks_the_same(const base::FileStat& there) {
    const auto& inode = file_.attributes.inode;
    const auto alike = [&inode](const base::FileStat& stat) {
        return stat.type == inode.type && stat.size == inode.size && stat.nlink <= inode.nlink;
    };
    if (!alike(there)) return false;
    auto file = directory_->open_file(file_.name);
    if (!file) return false;
    const auto opened = (*file)->stat();
    if (!opened || !alike(*opened) || !has_attributes(**file, *opened, file_.attributes, making_.tree)) return false;
    there_ = std::move(*file);
    return true;
}

std::uint64_t FileWriter::end_of(std::size_t extents) const {
    if (extents == 0) return 0;
    const auto& last = file_.extents[extents - 1];
    return last.offset + last.extent.length;
}

bool FileWriter::has(std::size_t index) {
    auto& file = there_ ? *there_ : *open_;
    const auto begin = end_of(index);
    if (index == file_.extents.size()) return holds_zeros(begin, file_.attributes.inode.size);
    const auto& [offset, extent] = file_.extents[index];
    // Without a hash, of an epoch whose chunk key we do not hold, or of no backup: not to be told without its block.
    if (!extent.hash || extent.block->key_epoch != making_.keys.epoch) return false;
    if (extent.length > max_content_bytes(extent.block->type)) return false;
    if (!holds_zeros(begin, offset)) return false;
    base::Bytes bytes(extent.length);
    const auto read = file.read_at(offset, bytes);
    return read && *read == bytes.size() && chunk_hash(making_.keys, bytes) == *extent.hash;
}

bool FileWriter::holds_zeros(std::uint64_t begin, std::uint64_t end) {
    if (begin == end) return true;
    auto& file = there_ ? *there_ : *open_;
    if (!data_known_) {
        auto ranges = file.data_ranges();
        if (!ranges) return false;
        data_ = std::move(*ranges);
        data_known_ = true;
    }
    const auto reaches = [](const base::DataRange& range, std::uint64_t at) {
        return range.offset + range.length <= at;
    };
    auto range = std::lower_bound(data_.begin(), data_.end(), begin, reaches);
    base::Bytes bytes;
    for (; range != data_.end() && range->offset < end; ++range) {
        const auto last = std::min(end, range->offset + range->length);
        for (auto at = std::max(begin, range->offset); at < last; at += bytes.size()) {
            bytes.resize(static_cast<std::size_t>(std::min(kZerosAtOnce, last - at)));
            const auto read = file.read_at(at, bytes);
            if (!read || *read != bytes.size()) return false;
            if (std::any_of(bytes.begin(), bytes.end(), [](auto byte) { return byte != 0; })) return false;
        }
    }
    return true;
}

FileResult FileWriter::take() {
    set_owner(*there_, file_.attributes, path(), making_.tree.privileged(), making_.warnings);
    there_.reset();
    result_.made = Made::same;
    result_.verified = making_.verify;
    return result_;
}

bool FileWriter::open() {
    there_.reset();
    data_known_ = false;
    auto created = directory_->create_file(temporary_);
    bool unfinished = false;
    if (!created && created.error() == base::Errc::exists) {
        created = directory_->reopen_file(temporary_);
        unfinished = created.has_value();
        if (!created && !(created.error() == base::Errc::locked)) {
            std::ignore = directory_->remove(temporary_);  // not one that we could go on with
            created = directory_->create_file(temporary_);
        }
    }
    if (!created) {
        fail(kind_of(created.error()), created.error());
        return false;
    }
    open_ = std::move(*created);
    return unfinished;
}

void FileWriter::start(std::size_t extents) {
    if (failed_) return;
    if (const auto cut = open_->truncate(end_of(extents)); !cut) fail(WarningKind::unwritable, cut.error());
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
    if (end_of(file_.extents.size()) < size) {
        if (const auto grown = open_->truncate(size); !grown) {
            fail(WarningKind::unwritable, grown.error());
            return result_;
        }
    }
    apply_attributes(*open_, file_.attributes, path(), making_.tree.privileged(), making_.warnings);
    if (const auto renamed = directory_->rename(temporary_, file_.name); !renamed) {
        fail(kind_of(renamed.error()), renamed.error());
        return result_;
    }
    written_ = std::move(open_);
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

FileResult make_special_file(const Making& making, const TargetFile& file) {
    const auto& inode = file.attributes.inode;
    const auto path = making.tree.path(file.directory, file.name);
    const bool device = inode.type == base::FileType::character || inode.type == base::FileType::block;
    FileResult result;
    if (device && !making.tree.privileged()) {
        making.warnings.add(WarningKind::unprivileged, path, base::Error{base::Errc::denied, "a device node"});
        return result;
    }
    auto directory = making.tree.open(file.directory);
    if (!directory) return result;  // warned of when it was not made
    if (const auto there = (*directory)->stat(file.name)) {
        if (keeps(making.overwrite, *there, inode)) return kept(making, path);
        if (same_special(**directory, file, *there, making.tree)) {
            result.made = Made::same;
            return result;
        }
    }
    const auto make = [&](base::LocalDirectory& in, const std::string& name) -> base::Result<void> {
        if (inode.type == base::FileType::symlink) return in.make_symlink(name, file.link_target);
        return in.make_special(name, inode.type, device ? inode.rdev : 0);
    };
    if (const auto made = make_named(**directory, file, make); !made) {
        making.warnings.add(kind_of(made.error()), path, made.error());
        return result;
    }
    apply_attributes(**directory, file.name, file.attributes, path, making.tree.privileged(), making.warnings);
    result.made = Made::made;
    return result;
}

std::optional<FileResult> keep_existing(const Making& making, const TargetFile& file) {
    if (making.overwrite == Overwrite::always) return std::nullopt;
    const auto directory = making.tree.open(file.directory);
    if (!directory) return std::nullopt;
    const auto there = (*directory)->stat(file.name);
    if (!there || !keeps(making.overwrite, *there, file.attributes.inode)) return std::nullopt;
    return kept(making, making.tree.path(file.directory, file.name));
}

std::optional<FileResult> make_hard_link(const Making& making, const TargetFile& name, std::uint32_t from_directory,
                                         const std::string& from_name) {
    FileResult result;
    auto from = making.tree.open(from_directory);
    auto directory = making.tree.open(name.directory);
    if (!from || !directory) return result;  // warned of
    const auto path = making.tree.path(name.directory, name.name);
    if (const auto there = (*directory)->stat(name.name)) {
        const auto first = (*from)->stat(from_name);
        if (first && first->inode == there->inode && first->device == there->device) {
            result.made = Made::same;
            return result;
        }
    }
    const auto made = make_named(**directory, name, [&](base::LocalDirectory& in, const std::string& as) {
        return in.make_link(as, **from, from_name);
    });
    if (made) {
        result.made = Made::made;
        return result;
    }
    if (made.error() == base::Errc::no_space || made.error() == base::Errc::bad_argument) {
        making.warnings.add(kind_of(made.error()), path, made.error());
        return result;
    }
    return std::nullopt;
}

}  // namespace objstore::archive
