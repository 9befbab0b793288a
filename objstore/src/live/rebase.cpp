// An update that lost the race: what it did on its base, done on the version that came first.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "objstore/error.hpp"
#include "objstore/live/update.hpp"

namespace objstore {
namespace {

/// What others did to one inode between the base and the newest version.
struct Theirs {
    bool data = false;    ///< its extents or its size
    bool edited = false;  ///< content, attributes or xattrs: what a removal must not take with it
};

bool edited(const Inode& before, const Inode& after) {
    return before.mode != after.mode || before.uid != after.uid || before.gid != after.gid ||
           before.size != after.size || before.mtime != after.mtime || before.flags != after.flags;
}

template <class T>
T merged(const T& base, const T& ours, const T& theirs) {
    return ours == base ? theirs : ours;
}

/// The later of two, where both changed it.
base::Timestamp merged_time(const base::Timestamp& base, const base::Timestamp& ours, const base::Timestamp& theirs) {
    if (ours == base) return theirs;
    if (theirs == base) return ours;
    return std::max(ours, theirs);
}

/// Links and size are settled elsewhere.
Inode merged_inode(const Inode& base, const Inode& ours, const Inode& theirs) {
    Inode out = theirs;
    out.mode = merged(base.mode, ours.mode, theirs.mode);
    out.uid = merged(base.uid, ours.uid, theirs.uid);
    out.gid = merged(base.gid, ours.gid, theirs.gid);
    out.flags = merged(base.flags, ours.flags, theirs.flags);
    out.atime = std::max(ours.atime, theirs.atime);
    out.mtime = merged_time(base.mtime, ours.mtime, theirs.mtime);
    out.ctime = merged_time(base.ctime, ours.ctime, theirs.ctime);
    out.change = theirs.change + (ours.change - base.change);
    return out;
}

FileRange everything() { return {0, UINT64_MAX}; }

class Rebaser {
  public:
    Rebaser(LiveStore store, Update update, BlockRefPtr newest, InodeNumbers& numbers, std::int64_t now_ns)
        : reader_{store.reader},
          keys_{store.keys},
          base_{store.tree(update.base)},
          newest_{store.tree(newest)},
          in_{std::move(update)},
          numbers_{numbers},
          now_ns_{now_ns} {
        out_.id = in_.id;
        out_.base = std::move(newest);
        out_.resolved = in_.resolved;
    }

    static base::Task<base::Result<Rebased>> run(Rebaser* self) {
        BASE_CO_CHECK(co_await self->learn_theirs());
        for (const auto& [number, change] : self->in_.inodes) {
            for (const auto& [name, entry] : change.names) {
                if (entry.after) self->named_.insert(entry.after->inode);
                if (entry.before) self->taken_from_[entry.before->inode] = std::pair{number, name};
            }
        }
        for (const auto& [number, change] : self->in_.inodes) BASE_CO_CHECK(co_await self->take_inode(number, change));
        BASE_CO_CHECK(co_await self->take_all_names());
        BASE_CO_CHECK(co_await self->put_back_refused());
        for (const auto number : std::exchange(self->homeless_, {})) BASE_CO_CHECK(co_await self->find_home(number));
        BASE_CO_CHECK(co_await self->undo_loops());
        BASE_CO_CHECK(co_await self->name_again());
        self->settle();
        BASE_CO_CHECK(co_await self->resolve_settled());
        Rebased out;
        out.update = std::move(self->out_);
        out.conflicts = std::move(self->conflicts_);
        co_return out;
    }

  private:
    /// Where a block is lost nobody knows what they did: then it is taken that they changed everything, so that nothing
    /// of theirs is overwritten.
    base::Task<base::Result<void>> learn_theirs() {
        const TreeDifference note = [this](const Item* before, const Item* after) {
            const auto& key = before != nullptr ? before->key : after->key;
            auto& theirs = theirs_[key.inode];
            if (key.kind == Kind::extent) theirs.data = theirs.edited = true;
            if (key.kind == Kind::xattr || key.kind == Kind::inline_data) theirs.edited = true;
            if (key.kind != Kind::inode || before == nullptr || after == nullptr) return;
            const auto& was = std::get<Inode>(before->value);
            const auto& is = std::get<Inode>(after->value);
            if (edited(was, is)) theirs.edited = true;
            if (was.size != is.size) theirs.data = true;
        };
        const auto done = co_await diff_trees(base_, newest_, note);
        if (!done && !is_isolated_damage(done.error().code())) co_return done.error();
        unknown_ = !done;
        co_return base::ok();
    }

    [[nodiscard]] const Theirs& theirs(InodeNumber number) const {
        static const Theirs nothing;
        static const Theirs anything{true, true};
        if (unknown_) return anything;
        const auto found = theirs_.find(number);
        return found == theirs_.end() ? nothing : found->second;
    }

    // --- The version being made: the newest, with what out_ says on top

    base::Task<base::Result<std::optional<Inode>>> inode(InodeNumber number) {
        const auto found = out_.inodes.find(number);
        if (found != out_.inodes.end()) co_return found->second.after;
        co_return co_await find_inode(newest_, number);
    }
    base::Task<base::Result<std::optional<EntryTarget>>> entry(InodeNumber directory, std::string name) {
        const auto found = out_.inodes.find(directory);
        if (found != out_.inodes.end()) {
            const auto named = found->second.names.find(name);
            if (named != found->second.names.end()) co_return named->second.after;
            if (!found->second.before) co_return std::optional<EntryTarget>{};
        }
        BASE_CO_TRY(const auto there, co_await find_entry(newest_, keys_, directory, std::move(name)));
        if (!there) co_return std::optional<EntryTarget>{};
        co_return std::optional{there->target};
    }
    /// Requires: the inode is there.
    base::Task<base::Result<InodeUpdate*>> touch(InodeNumber number) {
        const auto found = out_.inodes.find(number);
        if (found != out_.inodes.end()) co_return &found->second;
        BASE_CO_TRY(const auto there, co_await find_inode(newest_, number));
        InodeUpdate fresh;
        fresh.before = there;
        fresh.after = there;
        co_return &out_.inodes.emplace(number, std::move(fresh)).first->second;
    }
    base::Task<base::Result<void>> set_name(InodeNumber directory, std::string name,
                                            std::optional<EntryTarget> target) {
        BASE_CO_TRY(const auto current, co_await entry(directory, name));
        BASE_CO_TRY(auto* const parent, co_await touch(directory));
        auto& change = parent->names.try_emplace(name, NameChange{current, current, false}).first->second;
        change.after = target;
        if (current) {
            BASE_CO_CHECK(co_await touch(current->inode));
            --links_[current->inode];
            if (current->type == base::FileType::directory) --subdirectories_[directory];
        }
        if (target) {
            BASE_CO_TRY(auto* const child, co_await touch(target->inode));
            ++links_[target->inode];
            if (target->type == base::FileType::directory) ++subdirectories_[directory];
            if (child->after) child->after->parent = directory;
        }
        co_return base::ok();
    }
    void report(ConflictKind kind, InodeNumber directory, const std::string& name, InodeNumber winner,
                InodeNumber kept) {
        Conflict conflict;
        conflict.kind = kind;
        conflict.directory = directory;
        conflict.name = name;
        conflict.winner = winner;
        conflict.kept = kept;
        conflict.time_ns = now_ns_;
        conflicts_.push_back(std::move(conflict));
    }

    // --- Inodes

    /// Worth bringing back what others removed.
    [[nodiscard]] bool substantial(InodeNumber number, const InodeUpdate& change) const {
        if (!change.after || !change.before) return false;
        const bool gives_names = std::any_of(change.names.begin(), change.names.end(),
                                             [](const auto& name) { return name.second.after.has_value(); });
        return named_.contains(number) || gives_names || change.data || !change.xattrs.empty() ||
               (change.after->type != base::FileType::directory && edited(*change.before, *change.after));
    }

    base::Task<base::Result<void>> take_inode(InodeNumber number, const InodeUpdate& change) {
        if (!change.before) {
            InodeUpdate made = change;
            made.names.clear();
            forget_links(*made.after);
            out_.inodes.insert_or_assign(number, std::move(made));
            co_return base::ok();
        }
        BASE_CO_TRY(const auto there, co_await find_inode(newest_, number));
        if (!there) {
            if (substantial(number, change)) BASE_CO_CHECK(co_await bring_back(number));
            co_return base::ok();
        }
        InodeUpdate taken;
        taken.before = there;
        taken.after = there;
        if (change.after) {
            taken.after = merged_inode(*change.before, *change.after, *there);
            taken.xattrs = change.xattrs;
            if (change.data) {
                BASE_CO_TRY(taken.data, co_await take_data(number, change, *there));
                taken.after->size = change.after->size;
            }
        }
        out_.inodes.insert_or_assign(number, std::move(taken));
        co_return base::ok();
    }

    static void forget_links(Inode& inode) { inode.nlink = inode.type == base::FileType::directory ? 2 : 0; }

    /// Never a mixture: where both wrote, the file has ours, and theirs is kept under a number of its own.
    base::Task<base::Result<DataChange>> take_data(InodeNumber number, const InodeUpdate& change, Inode there) {
        const bool untouched = unknown_ && change.before && *change.before == there;
        if (untouched || !theirs(number).data) co_return *change.data;
        InodeUpdate kept;
        kept.after = there;
        kept.after->nlink = 0;
        kept.data.emplace();
        BASE_CO_TRY(kept.data->extents, co_await find_extents(newest_, number, everything()));
        const auto kept_number = numbers_.next();
        kept_.insert(kept_number);
        out_.inodes.insert_or_assign(kept_number, std::move(kept));
        const auto known = change.known_as.value_or(std::pair<InodeNumber, std::string>{});
        report(ConflictKind::content, known.first, known.second, number, kept_number);
        co_return co_await whole_content(number, change);
    }

    base::Task<base::Result<DataChange>> whole_content(InodeNumber number, const InodeUpdate& change) {
        DataChange all;
        all.dropped.push_back(everything());
        BASE_CO_TRY(all.extents, co_await find_extents(base_, number, everything()));
        if (change.data) {
            all.extents = cut_extents(std::move(all.extents), change.data->dropped);
            for (const auto& [offset, extent] : change.data->extents) all.extents.insert_or_assign(offset, extent);
        }
        co_return all;
    }

    /// An inode that others removed and we changed: the edit stays.
    base::Task<base::Result<void>> bring_back(InodeNumber number) {
        const auto mine = in_.inodes.find(number);
        const InodeUpdate nothing;
        const auto& change = mine == in_.inodes.end() ? nothing : mine->second;
        BASE_CO_TRY(const auto was, co_await find_inode(base_, number));
        if (!was) co_return base::ok();
        InodeUpdate back;
        back.after = change.after ? change.after : was;
        forget_links(*back.after);
        back.known_as = change.known_as;
        BASE_CO_TRY(const auto items,
                    co_await base_.range(TreeKey::first(number, Kind::xattr), TreeKey::first(number, Kind::extent)));
        for (const auto& item : items) {
            if (const auto* data = std::get_if<InlineData>(&item.value)) back.symlink = data->bytes;
            const auto* xattr = std::get_if<XattrRecord>(&item.value);
            if (xattr == nullptr) continue;
            BASE_CO_TRY(back.xattrs[xattr->name], co_await xattr_value(reader_, *xattr));
        }
        for (const auto& [name, value] : change.xattrs) back.xattrs[name] = value;
        if (was->type == base::FileType::regular) {
            BASE_CO_TRY(back.data, co_await whole_content(number, change));
            back.data->dropped.clear();
        }
        out_.inodes.insert_or_assign(number, std::move(back));
        if (!named_.contains(number)) homeless_.push_back(number);
        co_return base::ok();
    }

    // --- Names

    /// Of what was there, then of what was made here, from the top down: a directory may turn out to be another one
    /// (merged_into_) before its entries are looked at.
    base::Task<base::Result<void>> take_all_names() {
        std::vector<InodeNumber> next;
        std::set<InodeNumber> made;
        for (const auto& [number, change] : in_.inodes) {
            if (change.before) {
                next.push_back(number);
            } else {
                made.insert(number);
            }
        }
        while (!next.empty() || !made.empty()) {
            if (next.empty()) next.push_back(*made.begin());  // it did not get its name
            const auto number = next.back();
            next.pop_back();
            made.erase(number);
            BASE_CO_CHECK(co_await take_names(number));
            for (const auto& [name, change] : in_.inodes.at(number).names) {
                if (change.after && made.contains(change.after->inode)) next.push_back(change.after->inode);
            }
        }
        co_return base::ok();
    }
    base::Task<base::Result<void>> take_names(InodeNumber directory) {
        const auto& names = in_.inodes.at(directory).names;
        for (const auto& [name, change] : names) {
            const auto alias = merged_into_.find(directory);
            const auto where = alias == merged_into_.end() ? directory : alias->second;
            BASE_CO_TRY(const auto there, co_await inode(where));
            if (!there && !change.after) continue;
            if (!there) BASE_CO_CHECK(co_await bring_back(where));
            if (change.after) {
                BASE_CO_CHECK(co_await add_name(where, name, change));
            } else {
                BASE_CO_CHECK(co_await drop_name(where, name, change));
            }
        }
        co_return base::ok();
    }

    base::Task<base::Result<void>> drop_name(InodeNumber directory, std::string name, NameChange change) {
        BASE_CO_TRY(const auto there, co_await entry(directory, name));
        if (!there || !change.before || there->inode != change.before->inode) co_return base::ok();
        BASE_CO_TRY(const bool goes, co_await removable(*there, 0));
        if (!goes) co_return base::ok();
        co_return co_await set_name(directory, std::move(name), std::nullopt);
    }

    /// Nothing that others wrote goes with it. Requires: we dropped the name.
    base::Task<base::Result<bool>> removable(EntryTarget target, unsigned depth) {
        const auto mine = in_.inodes.find(target.inode);
        const bool removed = mine != in_.inodes.end() && !mine->second.after;
        if (!removed) co_return true;  // renamed, or one name of several
        if (target.type != base::FileType::directory) co_return !theirs(target.inode).edited;
        if (depth > kMaxDepth || has_new_entries(target.inode)) co_return false;
        BASE_CO_TRY(const auto items, co_await find_entries(newest_, target.inode));
        for (const auto& item : items) {
            const auto& left = std::get<Entry>(item.value);
            const auto ours = mine->second.names.find(left.name);
            const bool dropped = ours != mine->second.names.end() && !ours->second.after && ours->second.before &&
                                 ours->second.before->inode == left.inode;
            if (!dropped) co_return false;
            const EntryTarget child{left.inode, left.type};
            BASE_CO_TRY(const bool goes, co_await removable(child, depth + 1));
            if (!goes) co_return false;
        }
        co_return true;
    }

    base::Task<base::Result<void>> add_name(InodeNumber directory, std::string name, NameChange change) {
        const auto target = *change.after;
        BASE_CO_TRY(const auto there, co_await entry(directory, name));
        if (there && there->inode == target.inode) co_return base::ok();
        const bool as_expected = there && change.before && there->inode == change.before->inode;
        // What had the name got another one from us (an exchange, or moved away before).
        const bool vacated = as_expected && named_.contains(there->inode);
        const bool is_directory = target.type == base::FileType::directory;
        const auto mine = in_.inodes.find(target.inode);
        const bool made_here = mine != in_.inodes.end() && !mine->second.before;
        if (is_directory && !made_here) {
            BASE_CO_TRY(const bool elsewhere, co_await moved_by_others(target.inode));
            if (elsewhere) {  // it lies where they put it
                report(ConflictKind::rename, directory, name, target.inode, 0);
                if (vacated) co_return co_await set_name(directory, std::move(name), std::nullopt);
                co_return base::ok();
            }
            moved_.insert(target.inode);
        }
        if (!there || vacated) co_return co_await set_name(directory, std::move(name), target);
        const bool both_directories = is_directory && there->type == base::FileType::directory;
        if (both_directories && made_here && !as_expected) {  // two made one directory
            merged_into_[target.inode] = there->inode;
            out_.inodes.erase(target.inode);
            co_return base::ok();
        }
        const bool may_replace = there->type != base::FileType::directory && !is_directory;
        if (as_expected && both_directories) {  // renamed over an empty directory
            BASE_CO_TRY(const bool goes, co_await removable(*there, 0));
            if (goes) co_return co_await set_name(directory, std::move(name), target);
        } else if (may_replace && (as_expected || !change.exclusive)) {
            if (!as_expected || theirs(there->inode).edited) {
                keep_if_lost(ConflictKind::name, directory, name, target.inode, there->inode);
            }
            co_return co_await set_name(directory, std::move(name), target);
        }
        keep_if_lost(ConflictKind::name, directory, name, there->inode, target.inode);
        if (!made_here) refused_.push_back(target.inode);
        BASE_CO_CHECK(co_await touch(target.inode));
        links_[target.inode] += 0;  // settle() looks at it
        co_return base::ok();
    }
    /// True if a directory that we moved is no longer where we took it from, but still somewhere.
    base::Task<base::Result<bool>> moved_by_others(InodeNumber directory) {
        BASE_CO_TRY(const auto there, co_await find_inode(newest_, directory));
        const auto place = taken_from_.find(directory);
        if (!there || place == taken_from_.end()) co_return false;
        const auto [parent, name] = place->second;
        BASE_CO_TRY(const auto named, co_await find_entry(newest_, keys_, parent, name));
        co_return !named || named->target.inode != directory;
    }
    /// A rename whose new name was taken is as if it had not been made, if its old name is free.
    base::Task<base::Result<void>> put_back_refused() {
        for (const auto number : refused_) {
            const auto place = taken_from_.find(number);
            if (place == taken_from_.end()) continue;
            const auto [directory, name] = place->second;
            BASE_CO_TRY(const auto parent, co_await inode(directory));
            BASE_CO_TRY(const auto taken, co_await entry(directory, name));
            BASE_CO_TRY(const auto moved, co_await inode(number));
            if (!parent || taken || !moved) continue;
            const EntryTarget target{number, moved->type};
            BASE_CO_CHECK(co_await set_name(directory, name, target));
        }
        co_return base::ok();
    }
    void keep_if_lost(ConflictKind kind, InodeNumber directory, const std::string& name, InodeNumber winner,
                      InodeNumber loser) {
        kept_.insert(loser);
        report(kind, directory, name, winner, loser);
    }

    /// A name for what was brought back: the one that it had.
    base::Task<base::Result<void>> find_home(InodeNumber number) {
        for (unsigned depth = 0; depth < kMaxDepth; ++depth) {
            auto& back = out_.inodes.at(number);
            const EntryTarget target{number, back.after->type};
            BASE_CO_TRY(const auto home, co_await home_in_base(number, back));
            if (!home) {
                keep_if_lost(ConflictKind::removed, 0, {}, 0, number);
                links_[number] += 0;
                co_return base::ok();
            }
            const auto& [directory, name] = *home;
            BASE_CO_TRY(const auto parent, co_await inode(directory));
            if (!parent) {
                BASE_CO_CHECK(co_await bring_back(directory));
                if (!homeless_.empty() && homeless_.back() == directory) homeless_.pop_back();
            }
            BASE_CO_TRY(const auto taken, co_await entry(directory, name));
            if (!taken) {
                BASE_CO_CHECK(co_await set_name(directory, name, target));
            } else if (taken->inode != number) {
                keep_if_lost(ConflictKind::removed, directory, name, taken->inode, number);
                links_[number] += 0;
            }
            if (parent || named_.contains(directory)) co_return base::ok();
            number = directory;  // brought back as well: it needs a name of its own
        }
        co_return base::ok();
    }
    base::Task<base::Result<std::optional<std::pair<InodeNumber, std::string>>>> home_in_base(InodeNumber number,
                                                                                              InodeUpdate back) {
        if (back.known_as) {  // when it was looked up; others may have moved it since
            const auto [directory, name] = *back.known_as;
            BASE_CO_TRY(const auto there, co_await find_entry(base_, keys_, directory, name));
            if (there && there->target.inode == number) co_return back.known_as;
        }
        BASE_CO_TRY(const auto was, co_await find_inode(base_, number));
        const auto parent = was ? was->parent : 0;
        BASE_CO_TRY(const auto items, co_await find_entries(base_, parent));
        for (const auto& item : items) {
            const auto& named = std::get<Entry>(item.value);
            if (named.inode == number) co_return std::optional{std::pair{parent, named.name}};
        }
        co_return std::optional<std::pair<InodeNumber, std::string>>{};
    }

    [[nodiscard]] bool has_new_entries(InodeNumber directory) const {
        const auto found = out_.inodes.find(directory);
        if (found == out_.inodes.end()) return false;
        return std::any_of(found->second.names.begin(), found->second.names.end(),
                           [](const auto& name) { return name.second.after.has_value(); });
    }
    /// A directory that lost its name and has entries all the same (something was put back into it) keeps its name.
    base::Task<base::Result<void>> name_again() {
        std::vector<InodeNumber> doubtful;
        for (const auto& [number, change] : out_.inodes) {
            if (has_new_entries(number)) doubtful.push_back(number);
        }
        while (!doubtful.empty()) {
            const auto number = doubtful.back();
            doubtful.pop_back();
            if (number == kRootInode || kept_.contains(number)) continue;
            const auto& change = out_.inodes.at(number);
            if (!change.after || (change.before ? 1 : 0) + links_[number] > 0) continue;
            const auto place = taken_from_.find(number);
            const EntryTarget target{number, base::FileType::directory};
            if (place == taken_from_.end()) {
                keep_if_lost(ConflictKind::removed, 0, {}, 0, number);
                continue;
            }
            const auto [directory, name] = place->second;
            BASE_CO_TRY(const auto parent, co_await inode(directory));
            BASE_CO_TRY(const auto taken, co_await entry(directory, name));
            if (!parent || taken) {
                keep_if_lost(ConflictKind::removed, directory, name, taken ? taken->inode : 0, number);
                continue;
            }
            BASE_CO_CHECK(co_await set_name(directory, name, target));
            doubtful.push_back(directory);
        }
        co_return base::ok();
    }

    // --- Directories form a tree

    base::Task<base::Result<bool>> below_itself(InodeNumber directory) {
        auto at = directory;
        for (unsigned depth = 0; depth < 2 * kMaxDepth; ++depth) {
            BASE_CO_TRY(const auto there, co_await inode(at));
            if (!there || at == kRootInode) co_return false;
            at = there->parent;
            if (at == directory) co_return true;
        }
        co_return true;
    }
    /// A rename of ours that closes a loop with one of theirs is undone.
    base::Task<base::Result<void>> undo_loops() {
        for (const auto number : moved_) {
            BASE_CO_TRY(const bool loops, co_await below_itself(number));
            if (!loops) continue;
            const EntryTarget target{number, base::FileType::directory};
            for (const auto& [directory, change] : in_.inodes) {
                for (const auto& [name, entry] : change.names) {
                    if (entry.after == target) {
                        BASE_CO_CHECK(co_await set_name(directory, name, std::nullopt));
                        report(ConflictKind::rename, directory, name, number, 0);
                    }
                }
            }
            for (const auto& [directory, change] : in_.inodes) {
                for (const auto& [name, entry] : change.names) {
                    if (entry.before != target) continue;
                    BASE_CO_TRY(const auto parent, co_await inode(directory));
                    BASE_CO_TRY(const auto taken, co_await this->entry(directory, name));
                    if (parent && !taken) {
                        BASE_CO_CHECK(co_await set_name(directory, name, target));
                    } else {
                        keep_if_lost(ConflictKind::rename, directory, name, taken ? taken->inode : 0, number);
                    }
                }
            }
        }
        co_return base::ok();
    }

    // --- Links

    void settle() {
        std::set<InodeNumber> lost;
        for (auto at = out_.inodes.begin(); at != out_.inodes.end();) {
            auto& [number, change] = *at;
            if (!settle_links(number, change)) {
                if (kept_.contains(number)) {
                    if (change.after->type != base::FileType::directory) change.after->nlink = 0;
                    lost.insert(number);
                } else {
                    change.after.reset();
                }
            }
            const bool never_was = !change.before && !change.after;
            const bool same = change.before == change.after && change.names.empty() && change.xattrs.empty() &&
                              !change.data && change.before.has_value();
            at = never_was || same ? out_.inodes.erase(at) : std::next(at);
        }
        for (auto& conflict : conflicts_) {
            if (!lost.contains(conflict.kept)) conflict.kept = 0;
        }
        // A rename over somebody's new file, whose inode has another name as well: nothing was lost.
        std::erase_if(conflicts_,
                      [](const Conflict& each) { return each.kind == ConflictKind::name && each.kept == 0; });
    }
    /// False if nobody names it.
    bool settle_links(InodeNumber number, InodeUpdate& change) {
        if (!change.after) return false;
        auto& inode = *change.after;
        const auto links = links_.contains(number) ? links_.at(number) : 0;
        if (inode.type == base::FileType::directory) {
            const auto subdirectories = subdirectories_.contains(number) ? subdirectories_.at(number) : 0;
            const std::uint64_t was = change.before ? change.before->nlink : 2;
            inode.nlink = was + static_cast<std::uint64_t>(subdirectories);
            return number == kRootInode || (change.before ? 1 : 0) + links > 0;
        }
        const std::uint64_t was = change.before ? change.before->nlink : 0;
        inode.nlink = was + static_cast<std::uint64_t>(links);
        const bool kept_before = change.before && was == 0;  // by an earlier conflict
        const auto mine = in_.inodes.find(number);
        const bool removed = mine != in_.inodes.end() && !mine->second.after;
        if (kept_before && (inode.nlink > 0 || removed)) settled_.insert(number);
        return inode.nlink > 0 || (kept_before && !removed);
    }
    /// What an earlier conflict kept, and has a name again or was removed by who had it open, is on no list any more.
    base::Task<base::Result<void>> resolve_settled() {
        if (settled_.empty()) co_return base::ok();
        BASE_CO_TRY(const auto listed,
                    co_await newest_.range(TreeKey::first(0, Kind::conflict), TreeKey::behind(0, Kind::conflict)));
        for (const auto& item : listed) {
            const auto conflict = Conflict::decode(std::get<Opaque>(item.value));
            if (conflict && settled_.contains(conflict->kept)) out_.resolved.push_back(item.key);
        }
        co_return base::ok();
    }

    BlockReader& reader_;
    const VolumeKeys& keys_;
    Tree base_;
    Tree newest_;
    Update in_;
    InodeNumbers& numbers_;
    std::int64_t now_ns_;
    std::map<InodeNumber, Theirs> theirs_;
    bool unknown_ = false;  // what they did
    Update out_;
    std::vector<Conflict> conflicts_;
    std::set<InodeNumber> named_;                                            // inodes that we gave a name
    std::set<InodeNumber> moved_;                                            // directories that we moved
    std::map<InodeNumber, std::pair<InodeNumber, std::string>> taken_from_;  // where the base had what we took away
    std::vector<InodeNumber> refused_;                                       // renames that found their name taken
    std::set<InodeNumber> kept_;                                             // the losing side of a conflict
    std::set<InodeNumber> settled_;                                          // kept earlier, and no longer
    std::vector<InodeNumber> homeless_;               // brought back, and no name of ours names them
    std::map<InodeNumber, InodeNumber> merged_into_;  // a directory made here -> the one made by others
    std::map<InodeNumber, std::int64_t> links_;       // names given less names taken
    std::map<InodeNumber, std::int64_t> subdirectories_;
};

}  // namespace

base::Task<base::Result<Rebased>> rebase(LiveStore store, Update update, BlockRefPtr newest, InodeNumbers& kept_numbers,
                                         std::int64_t now_ns) {
    Rebased same;
    if (update.base->id == newest->id) {
        same.update = std::move(update);
        co_return same;
    }
    Rebaser rebaser{std::move(store), std::move(update), std::move(newest), kept_numbers, now_ns};
    co_return co_await Rebaser::run(&rebaser);
}

}  // namespace objstore
