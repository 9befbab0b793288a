// Which inode is which, and what of it has to be read: the walk beside the parent snapshot.
#include <algorithm>

#include "backup_run.hpp"

namespace objstore::archive {
namespace {

constexpr std::size_t kRunDirectories = 32;  // each keeps a directory open

Inode inode_of(const base::FileStat& stat) {
    Inode inode;
    inode.type = stat.type;
    inode.mode = stat.mode;
    inode.uid = stat.uid;
    inode.gid = stat.gid;
    inode.size = stat.size;
    inode.mtime = stat.mtime;
    inode.ctime = stat.ctime;
    inode.nlink = stat.nlink;
    inode.rdev = stat.rdev;
    inode.source_device = stat.device;
    inode.source_inode = stat.inode;
    return inode;
}

// Of a directory that only leads to what is wanted, what others do in it is none of our business: with its times the
// same tree would give another root each time somebody made a file in /tmp.
Inode leading_inode(const base::FileStat& stat) {
    Inode inode;
    inode.type = base::FileType::directory;
    inode.mode = stat.mode;
    inode.uid = stat.uid;
    inode.gid = stat.gid;
    return inode;
}

}  // namespace

void BackupRun::take(Listing& listing) {
    const auto found = directories_.find(listing.id);
    const auto directory = found->second;
    directories_.erase(found);
    current_ = listing.path;
    if (listing.vanished) {
        SourceItem gone;
        gone.number = directory.number;
        gone.listed_in = directory.listed_in;
        gone.known = directory.old != ParentIndex::kNone;
        gone.name = listing.path.substr(listing.path.rfind('/') + 1);
        gone.stat.type = base::FileType::directory;
        return lose(gone);
    }

    const auto names = parent_.names(directory.old);
    std::vector<Entry> entries;
    entries.reserve(listing.entries.size());
    bool same_names = names.size() == listing.entries.size();
    std::size_t at = 0;
    for (const auto& entry : listing.entries) {
        while (at < names.size() && parent_.text(names[at]) < entry.name) ++at;
        const auto* old_name = at < names.size() && parent_.text(names[at]) == entry.name ? &names[at] : nullptr;
        const auto identity = identify(entry.stat, old_name, entry.on_the_way);
        same_names = same_names && old_name != nullptr && old_name->inode == identity.number &&
                     old_name->type == entry.stat.type;
        entries.push_back({entry.name, identity.number, entry.stat.type});
        if (!identity.first) {
            OtherName other{directory.number, path_of(listing), entry.name, counter_of(identity, entry.stat)};
            other_names_.emplace(identity.number, std::move(other));
        }
        take_entry(listing, directory.number, entry, identity);
        if (identity.first && entry.directory == 0 && !unchanged(identity.old, entry.stat, false)) {
            SourceItem item;
            item.number = identity.number;
            item.listed_in = directory.number;
            item.known = identity.old != ParentIndex::kNone;
            item.linked = entry.stat.nlink > 1;
            item.directory = listing.directory;
            item.name = entry.name;
            item.stat = entry.stat;
            queue_item(listing, std::move(item));
        }
    }
    take_directory(listing, directory, std::move(entries), same_names);
}

std::uint32_t BackupRun::old_of(const base::FileStat& stat, const ParentIndex::Name* old_name, bool on_the_way) {
    constexpr auto kNone = ParentIndex::kNone;
    const auto free = [&](std::uint32_t index) {
        return index != kNone && !parent_.file(index).claimed && parent_.file(index).type == stat.type;
    };
    const auto by_path = old_name != nullptr ? parent_.by_number(old_name->inode) : kNone;
    if (free(by_path) && (on_the_way || parent_.file(by_path).source_inode == stat.inode)) return by_path;
    if (on_the_way || parent_.empty()) return kNone;
    const auto by_source = parent_.by_source(stat.device, stat.inode);
    if (free(by_source)) return by_source;
    return free(by_path) ? by_path : kNone;
}

// The parent's number for the same (device, inode), else for the same path, else a fresh one.
BackupRun::Identity BackupRun::identify(const base::FileStat& stat, const ParentIndex::Name* old_name,
                                        bool on_the_way) {
    Identity identity;
    const bool linked = stat.nlink > 1 && stat.type != base::FileType::directory;
    const Source source{stat.device, stat.inode, stat.type, stat.size, stat.mtime};
    if (linked) {
        if (const auto known = links_.find(source); known != links_.end()) {
            identity = known->second;
            identity.first = false;
            return identity;
        }
    }
    identity.old = old_of(stat, old_name, on_the_way);
    if (identity.old != ParentIndex::kNone) {
        parent_.file(identity.old).claimed = true;
        identity.number = parent_.file(identity.old).number;
    } else {
        identity.number = fresh_number();
    }
    if (linked) links_.emplace(source, identity);
    return identity;
}

bool BackupRun::unchanged(std::uint32_t old, const base::FileStat& stat, bool on_the_way) const {
    if (old == ParentIndex::kNone) return false;
    const auto& file = parent_.files()[old];
    if (file.lost) return false;
    if (on_the_way) {
        return file.source_inode == 0 && file.mode == stat.mode && file.uid == stat.uid && file.gid == stat.gid;
    }
    if (options_.reread && stat.type != base::FileType::directory) return false;
    return file.same_as(stat, options_.ignored);
}

BackupRun::Counter BackupRun::counter_of(const Identity& identity, const base::FileStat& stat) const {
    if (identity.old == ParentIndex::kNone) return &ChangeCounts::added;
    return unchanged(identity.old, stat, false) ? &ChangeCounts::unchanged : &ChangeCounts::changed;
}

// Counts it; a directory is expected from now on.
void BackupRun::take_entry(const Listing& listing, InodeNumber listed_in, const ScannedEntry& entry,
                           const Identity& identity) {
    if (entry.directory != 0) {
        directories_.emplace(entry.directory, Directory{identity.number, identity.old, listed_in});
        return;
    }
    const auto counter = counter_of(identity, entry.stat);
    ++(report_.files.*counter);
    const bool same = counter == &ChangeCounts::unchanged;
    if (options_.each && (same || !identity.first)) {
        const auto change = same                                ? FileChange::unchanged
                            : counter == &ChangeCounts::changed ? FileChange::changed
                                                                : FileChange::added;
        tell_of(change, joined(listing.path, entry.name));
    }
    if (!same || !identity.first) return;
    report_.bytes += parent_.file(identity.old).data_bytes;
    shown_.bytes += parent_.file(identity.old).data_bytes;
    shown_.passed_over += parent_.file(identity.old).data_bytes;
    ++shown_.files;
}

void BackupRun::tell_of(FileChange change, const std::string& path) const {
    if (options_.each) options_.each(change, path);
}

void BackupRun::take_directory(const Listing& listing, const Directory& directory, std::vector<Entry> entries,
                               bool same_names) {
    ++shown_.directories;
    const bool known = directory.old != ParentIndex::kNone;
    const bool top = directory.number == kRootInode;  // the same in every snapshot, and never restored: not counted
    if (same_names && unchanged(directory.old, listing.stat, listing.on_the_way)) {
        if (!top) ++report_.directories.unchanged;
        if (!top) tell_of(FileChange::unchanged, listing.path + "/");
        return;
    }
    if (!top) ++(known ? report_.directories.changed : report_.directories.added);
    put_entries(directory.number, std::move(entries));
    SourceItem item;
    item.number = directory.number;
    item.known = known;
    item.directory = listing.on_the_way ? nullptr : listing.directory;
    item.stat = listing.stat;
    if (!listing.on_the_way) return queue_item(listing, std::move(item));
    if (!top) tell_of(known ? FileChange::changed : FileChange::added, listing.path + "/");
    if (known) changes_.rewrite(item.number);
    changes_.put({TreeKey::first(item.number, Kind::inode), leading_inode(listing.stat)});
}

void BackupRun::put_entries(InodeNumber directory, std::vector<Entry> entries) {
    const auto& keys = session_->keys().epoch;
    for (auto& entry : entries) {
        TreeKey key{.inode = directory, .kind = Kind::entry, .sub = entry_hash(keys, directory, entry.name)};
        changes_.put({key, std::move(entry)});
    }
}

// One copy for all that is in it.
std::shared_ptr<const std::string> BackupRun::path_of(const Listing& listing) {
    if (!open_path_ || *open_path_ != listing.path) open_path_ = std::make_shared<const std::string>(listing.path);
    return open_path_;
}

void BackupRun::queue_item(const Listing& listing, SourceItem item) {
    item.directory_path = path_of(listing);
    const bool regular = item.stat.type == base::FileType::regular;
    if (regular && item.stat.size >= kSmallFileBytes) {
        close_run();
        auto batch = std::make_shared<Batch>(env_.executor);
        batch->large = std::move(item);
        planned_.push_back(std::move(batch));
        return;
    }
    const std::size_t bytes = regular ? item.stat.size : 0;
    if (open_run_) {
        const auto& run = open_run_->run;
        const bool other = run.items.back().directory != item.directory;
        if (run.planned_bytes + bytes > kPackBytes || run.items.size() >= kRunFiles ||
            (other && open_directories_ >= kRunDirectories)) {
            close_run();
        } else if (other) {
            ++open_directories_;
        }
    }
    if (!open_run_) {
        open_run_ = std::make_shared<Batch>(env_.executor);
        open_directories_ = 1;
    }
    open_run_->run.planned_bytes += bytes;
    open_run_->run.items.push_back(std::move(item));
}

void BackupRun::close_run() {
    if (open_run_) planned_.push_back(std::exchange(open_run_, nullptr));
}

// Everything the tree says about an inode, once it has been read and its chunks have been placed.
void BackupRun::store_inode(const SourceItem& item, ReadOutcome& outcome, const Buffer& attributes) {
    if (outcome.lost && item.linked) lost_links_.emplace(item.number, outcome.warnings.back().error);
    for (auto& warning : outcome.warnings) report_.warnings.add(warning.kind, item.path(), std::move(warning.error));
    shown_.warnings = report_.warnings.count();
    if (outcome.lost) return lose(item);
    if (item.known) changes_.rewrite(item.number);
    auto inode = inode_of(item.stat);
    // What changed since we began may change again within the same tick of the file system's clock, unseen: the next
    // backup reads it whatever its times say.
    if (item.stat.type == base::FileType::regular && item.stat.ctime >= base::Timestamp::from_ns(started_wall_ns_))
        inode.ctime = {};
    changes_.put({TreeKey::first(item.number, Kind::inode), inode});
    put_xattrs(item.number, outcome, attributes);
    if (item.stat.type == base::FileType::symlink) {
        InlineData target{base::to_bytes(outcome.link_target)};
        changes_.put({TreeKey::first(item.number, Kind::inline_data), std::move(target)});
    }
    report_.bytes += outcome.data_bytes;
    if (options_.each && item.number != kRootInode) {
        tell_of(item.known ? FileChange::changed : FileChange::added, item.path() + (item.name.empty() ? "/" : ""));
    }
}

void BackupRun::put_xattrs(InodeNumber number, ReadOutcome& outcome, const Buffer& attributes) {
    for (auto& xattr : outcome.xattrs) {
        TreeKey key{.inode = number, .kind = Kind::xattr};
        key.sub = xattr_hash(session_->keys().epoch, number, xattr.name);
        XattrRecord record{std::move(xattr.name), {}};
        if (!xattr.chunk) {
            record.value = std::move(xattr.value);
            changes_.put({key, std::move(record)});
            continue;
        }
        const auto place = packer_->place(*xattr.chunk, attributes, false);
        changes_.put_xattr({key, std::move(record)}, {0, place, xattr.chunk->hash});
    }
}

// It was listed, and then it could not be read: no entry may name it, and nothing of an older version stays.
void BackupRun::lose(const SourceItem& item) {
    if (item.known) changes_.erase(item.number, item.number + 1);
    if (item.listed_in == 0) return;
    if (item.stat.type != base::FileType::directory) --(item.known ? report_.files.changed : report_.files.added);
    drop_entry(item.listed_in, item.name);
}

// When the walk is over, and not before: it may meet another name of an inode long after that could not be read.
void BackupRun::lose_other_names() {
    for (const auto& [number, error] : lost_links_) {
        const auto [begin, end] = other_names_.equal_range(number);
        for (auto at = begin; at != end; ++at) {
            const auto& other = at->second;
            drop_entry(other.directory, other.name);
            --(report_.files.*other.counted);
            report_.warnings.add(WarningKind::unreadable, joined(*other.directory_path, other.name), error);
        }
    }
}

void BackupRun::drop_entry(InodeNumber directory, const std::string& name) {
    const auto sub = entry_hash(session_->keys().epoch, directory, name);
    changes_.drop({.inode = directory, .kind = Kind::entry, .sub = sub});
}

void BackupRun::erase_unclaimed() {
    for (const auto& file : parent_.files()) {
        if (file.claimed) continue;
        ++report_.removed;
        changes_.erase(file.number, file.number + 1);
    }
}

}  // namespace objstore::archive
