// Reading: what is in memory over what the base version has.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "live/working_state.hpp"
#include "objstore/error.hpp"

namespace objstore {

namespace asio = boost::asio;

namespace {

constexpr std::uint64_t kReadAhead = 4U << 20U;  // of a file that is read on where the last read ended

TreeKey entry_key(InodeNumber directory, std::uint64_t hash) {
    TreeKey key = TreeKey::first(directory, Kind::entry);
    key.sub = hash;
    return key;
}

ListedEntry listed(const NameKey& key, const EntryTarget& target) {
    ListedEntry out;
    out.entry.name = key.second;
    out.entry.inode = target.inode;
    out.entry.type = target.type;
    out.offset = key.first;
    return out;
}

/// The base's entries from some hash on with the changed names put over them, at most `limit`; of names with one hash
/// all or none, so that a reader may go on behind the hash.
std::vector<ListedEntry> merge(const std::vector<Item>& items, bool base_goes_on, std::uint64_t from,
                               const std::map<NameKey, LiveName>& changed, std::size_t limit) {
    std::map<NameKey, EntryTarget> all;
    for (const auto& item : items) {
        const auto& entry = std::get<Entry>(item.value);
        all.emplace(NameKey{item.key.sub, entry.name}, EntryTarget{entry.inode, entry.type});
    }
    // Where the base has more, nothing is known behind its last item.
    const auto known_to = base_goes_on && !items.empty() ? items.back().key.sub : UINT64_MAX;
    for (auto at = changed.lower_bound(NameKey{from, ""}); at != changed.end() && at->first.first <= known_to; ++at) {
        if (at->second.after) {
            all.insert_or_assign(at->first, *at->second.after);
        } else {
            all.erase(at->first);
        }
    }
    std::vector<ListedEntry> out;
    for (const auto& [key, target] : all) {
        if (base_goes_on && key.first == known_to) break;  // others of this hash may follow
        if (out.size() >= limit && key.first != out.back().offset) break;
        out.push_back(listed(key, target));
    }
    return out;
}

base::Task<base::Result<ReadPiece>> read_extent(BlockReader* reader, Extent extent) {
    BASE_CO_TRY(auto block, co_await reader->read(extent.block));
    if (extent.offset + extent.length > block->packed.size()) {
        co_return base::Error{Errc::damaged, "block " + extent.block->id.hex() + ": shorter than its extent"};
    }
    ReadPiece piece;
    piece.bytes = base::ByteView{block->packed}.subspan(extent.offset, extent.length);
    piece.length = extent.length;
    piece.owner = std::move(block);
    co_return piece;
}

}  // namespace

base::Task<base::Result<base::Bytes>> xattr_value(BlockReader& reader, XattrRecord record) {
    if (auto* bytes = std::get_if<base::Bytes>(&record.value)) co_return std::move(*bytes);
    BASE_CO_TRY(const auto piece, co_await read_extent(&reader, std::get<Extent>(record.value)));
    co_return base::to_bytes(piece.bytes);
}

std::optional<NamedTree> WorkingTree::State::base_of(const LiveNode& node) const {
    if (node.last) return node.last;
    if (node.base) return NamedTree{*base, version.named_in};
    return std::nullopt;
}

bool WorkingTree::pinned(InodeNumber inode) const { return state_->pins.contains(inode); }

base::Task<base::Result<Inode>> WorkingTree::get(InodeNumber inode) {
    if (const auto* const here = state_->peek(inode)) co_return here->now;
    BASE_CO_TRY(const auto* const node, co_await State::load(state_.get(), inode));
    co_return node->now;
}

base::Task<void> WorkingTree::get_ready(std::vector<InodeNumber> inodes) {
    std::erase_if(inodes, [this](InodeNumber inode) { return state_->peek(inode) != nullptr; });
    if (inodes.size() < 2) co_return;
    constexpr auto load = [](std::shared_ptr<State> self, InodeNumber inode) -> base::Task<void> {
        (void)co_await State::load(self.get(), inode);
    };
    base::TaskGroup group{state_->env.executor};
    for (const auto inode : inodes) group.spawn(load(state_, inode));
    co_await group.join();
}

base::Task<base::Result<InodeNumber>> WorkingTree::parent(InodeNumber inode) {
    BASE_CO_TRY(const auto* const node, co_await State::load(state_.get(), inode));
    co_return node->number == kRootInode ? kRootInode : node->now.parent;
}

base::Task<base::Result<Entry>> WorkingTree::lookup(InodeNumber directory, std::string name) {
    BASE_CO_TRY(const auto found, co_await State::find_name(state_.get(), directory, name));
    if (!found) co_return posix(std::errc::no_such_file_or_directory);
    BASE_CO_CHECK(co_await State::load_named(state_.get(), directory, name, *found));
    if (auto* const node = state_->peek(found->inode); node != nullptr && !node->known_as) {
        node->known_as = std::pair{directory, name};
    }
    Entry entry;
    entry.name = std::move(name);
    entry.inode = found->inode;
    entry.type = found->type;
    co_return entry;
}

base::Task<base::Result<std::vector<ListedEntry>>> WorkingTree::list(InodeNumber directory, std::uint64_t offset,
                                                                     std::size_t limit) {
    auto* const state = state_.get();
    limit = std::max<std::size_t>(limit, 1);
    for (auto ask = limit + 16;; ask *= 2) {
        BASE_CO_TRY(const auto* node, co_await State::load_directory(state, directory));
        const auto tree = state->base_of(*node);
        const auto of = state->base_number;
        std::vector<Item> items;
        if (tree) {
            BASE_CO_TRY(items, co_await tree->tree.range(entry_key(directory, offset + 1),
                                                         TreeKey::behind(directory, Kind::entry), ask));
        }
        if (of != state->base_number) continue;
        node = state->peek(directory);
        if (node == nullptr) continue;
        const bool goes_on = items.size() == ask;
        auto out = merge(items, goes_on, offset + 1, node->names, limit);
        if (out.size() >= limit || !goes_on) co_return out;
    }
}

base::Task<base::Result<std::string>> WorkingTree::read_link(InodeNumber inode) {
    auto* const state = state_.get();
    BASE_CO_TRY(const auto* const node, co_await State::load(state, inode));
    if (node->now.type != base::FileType::symlink) co_return posix(std::errc::invalid_argument);
    if (node->symlink) co_return std::string{base::as_text(*node->symlink)};
    const auto tree = state->base_of(*node);
    if (!tree) co_return base::Error{Errc::damaged, "a symbolic link without a target"};
    BASE_CO_TRY(const auto item, co_await tree->tree.find(TreeKey::first(inode, Kind::inline_data)));
    if (!item) co_return base::Error{Errc::damaged, "a symbolic link without a target"};
    co_return std::string{base::as_text(std::get<InlineData>(item->value).bytes)};
}

base::Task<base::Result<std::vector<Content::Segment>>> WorkingTree::State::segments(State* self, InodeNumber number,
                                                                                     FileRange wanted,
                                                                                     std::size_t most) {
    BASE_CO_TRY(const auto* const node, co_await load(self, number));
    // Taken together, without suspending: whatever changes afterwards, this is what the file was at one moment.
    auto pieces = node->content.collect(wanted.from, wanted.to, most);
    const auto tree = self->base_of(*node);
    std::vector<Content::Segment> out;
    for (auto& segment : pieces) {
        if (out.size() >= most) break;
        if (!segment.of_base) {
            out.push_back(std::move(segment));
            continue;
        }
        auto at = segment.offset;
        const auto end = at + segment.piece.length;
        std::map<std::uint64_t, Extent> extents;
        if (tree) {
            const FileRange range{at, end};
            BASE_CO_TRY(extents, co_await find_extents(tree->tree, number, range, most));
        }
        const auto add = [&](std::uint64_t offset, std::uint64_t length, std::optional<Extent> stored) {
            Content::Segment part;
            part.offset = offset;
            part.piece.length = length;
            part.piece.stored = std::move(stored);
            if (tree) part.piece.since = tree->named_in + 1;
            out.push_back(std::move(part));
        };
        for (const auto& [offset, extent] : extents) {
            const auto begin = std::max(at, offset);
            const auto until = std::min(end, offset + extent.length);
            if (begin >= until) continue;
            if (out.size() >= most) co_return out;
            if (at < begin) add(at, begin - at, std::nullopt);
            ContentPiece whole;
            whole.length = extent.length;
            whole.stored = extent;
            add(begin, until - begin, part_of(whole, begin - offset, until - begin).stored);
            at = until;
        }
        if (extents.size() >= most) break;  // there may be more of them
        if (at < end) add(at, end - at, std::nullopt);
    }
    co_return out;
}

base::Task<base::Result<std::vector<ReadPiece>>> WorkingTree::read(InodeNumber inode, std::uint64_t offset,
                                                                   std::uint64_t length) {
    auto* const state = state_.get();
    BASE_CO_TRY(auto* const node, co_await State::load(state, inode));
    if (node->directory()) co_return posix(std::errc::is_a_directory);
    std::vector<ReadPiece> out;
    if (offset >= node->now.size) co_return out;
    const auto size = node->now.size;
    const auto end = std::min(size, offset + std::min(length, size - offset));
    const bool goes_on = offset > 0 && node->read_end == offset;
    node->read_end = end;
    const FileRange range{offset, end};
    BASE_CO_TRY(const auto parts, co_await State::segments(state, inode, range));
    for (const auto& part : parts) {
        if (part.piece.stored) state->volume.reader().prefetch(part.piece.stored->block);
    }
    if (goes_on && end < size) {
        const FileRange next{end, std::min(size, end + kReadAhead)};
        BASE_CO_TRY(const auto ahead, co_await State::segments(state, inode, next));
        for (const auto& part : ahead) {
            if (part.piece.stored) state->volume.reader().prefetch(part.piece.stored->block);
        }
    }
    for (const auto& part : parts) {
        ReadPiece piece;
        piece.length = part.piece.length;
        if (part.piece.in_memory()) {
            piece.bytes = part.piece.bytes();
            piece.owner = part.piece.buffer;
        } else if (part.piece.stored) {
            BASE_CO_TRY(piece, co_await read_extent(&state->volume.reader(), *part.piece.stored));
        }
        out.push_back(std::move(piece));
    }
    co_return out;
}

base::Task<base::Result<std::uint64_t>> WorkingTree::seek(InodeNumber inode, std::uint64_t offset, bool hole) {
    constexpr std::size_t kStep = 1024;
    auto* const state = state_.get();
    for (auto at = offset;;) {
        BASE_CO_TRY(const auto* const node, co_await State::load(state, inode));
        const auto size = node->now.size;
        if (at >= size) {
            if (hole && offset < size) co_return size;
            co_return posix(std::errc::no_such_device_or_address);
        }
        const FileRange rest{at, size};
        BASE_CO_TRY(const auto parts, co_await State::segments(state, inode, rest, kStep));
        for (const auto& part : parts) {
            const bool is_data = part.piece.in_memory() || part.piece.stored;
            if (is_data != hole) co_return part.offset;
        }
        at = parts.back().offset + parts.back().piece.length;
        co_await asio::post(state->env.executor, asio::use_awaitable);  // others have a turn
    }
}

base::Task<base::Result<std::uint64_t>> WorkingTree::data_bytes(InodeNumber inode) {
    constexpr std::size_t kMost = 16384;
    auto* const state = state_.get();
    BASE_CO_TRY(const auto* const node, co_await State::load(state, inode));
    const auto size = node->now.size;
    const FileRange all{0, size};
    BASE_CO_TRY(const auto parts, co_await State::segments(state, inode, all, kMost));
    std::uint64_t holes = 0;
    for (const auto& part : parts) {
        if (!part.piece.in_memory() && !part.piece.stored) holes += part.piece.length;
    }
    co_return size - holes;
}

// --- Extended attributes

base::Task<base::Result<std::optional<base::Bytes>>> WorkingTree::State::xattr(State* self, InodeNumber number,
                                                                               std::string name) {
    BASE_CO_TRY(const auto* const node, co_await load(self, number));
    const auto changed = node->xattrs.find(name);
    if (changed != node->xattrs.end()) co_return changed->second.value;
    const auto tree = self->base_of(*node);
    if (!tree) co_return std::optional<base::Bytes>{};
    BASE_CO_TRY(const auto found, co_await find_xattr(tree->tree, self->volume.keys(), number, std::move(name)));
    if (!found) co_return std::optional<base::Bytes>{};
    BASE_CO_TRY(auto value, co_await xattr_value(self->volume.reader(), found->record));
    co_return std::optional{std::move(value)};
}

base::Task<base::Result<base::Bytes>> WorkingTree::get_xattr(InodeNumber inode, std::string name) {
    BASE_CO_TRY(auto value, co_await State::xattr(state_.get(), inode, std::move(name)));
    if (!value) co_return posix(std::errc::no_message_available);
    co_return std::move(*value);
}

base::Task<base::Result<std::vector<std::string>>> WorkingTree::list_xattrs(InodeNumber inode) {
    auto* const state = state_.get();
    for (;;) {
        BASE_CO_TRY(const auto* node, co_await State::load(state, inode));
        const auto tree = state->base_of(*node);
        const auto of = state->base_number;
        std::set<std::string> names;
        if (tree) {
            BASE_CO_TRY(const auto items, co_await tree->tree.range(TreeKey::first(inode, Kind::xattr),
                                                                    TreeKey::first(inode, Kind::inline_data)));
            for (const auto& item : items) names.insert(std::get<XattrRecord>(item.value).name);
        }
        node = state->peek(inode);
        if (of != state->base_number || node == nullptr) continue;
        for (const auto& [name, change] : node->xattrs) {
            if (change.value) {
                names.insert(name);
            } else {
                names.erase(name);
            }
        }
        co_return std::vector<std::string>{names.begin(), names.end()};
    }
}

}  // namespace objstore
