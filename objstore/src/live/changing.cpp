// Names, attributes and extended attributes: what changes them, each in one step.
#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "live/working_state.hpp"

namespace objstore {
namespace {

constexpr std::uint64_t kMaxLinks = 0xFFFFFFFF;
constexpr std::size_t kMaxXattrBytes = 64U << 10U;
constexpr std::size_t kMostCopied = 1024;  // stretches of a file, by one call

base::Result<void> check_name(const std::string& name) {
    if (name.size() > base::kMaxNameBytes) return posix(std::errc::filename_too_long);
    const bool bad = name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
                     name.find('\0') != std::string::npos;
    if (bad) return posix(std::errc::invalid_argument);
    return base::ok();
}

EntryTarget target_of(const LiveNode& node) { return {node.number, node.now.type}; }

}  // namespace

base::Task<base::Result<InodeNumber>> WorkingTree::create(InodeNumber directory, std::string name, NewInode what) {
    auto* const state = state_.get();
    BASE_CO_CHECK(check_name(name));
    const bool symlink = what.type == base::FileType::symlink;
    if (symlink && what.symlink_target.empty()) co_return posix(std::errc::no_such_file_or_directory);
    if (what.symlink_target.size() > kMaxSymlinkBytes) co_return posix(std::errc::filename_too_long);
    const auto turn = state->turn();
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        const auto seen = state->changes;
        BASE_CO_CHECK(co_await State::load_directory(state, directory));
        BASE_CO_TRY(const auto taken, co_await State::find_name(state, directory, name));
        if (taken) co_return posix(std::errc::file_exists);
        if (auto numbered = co_await State::wait_for_a_number(state, turn); !numbered) {
            // A full holder of the record is one that does not answer: what the last commit met is the cause.
            const bool full =
                state->last_error && *state->last_error == std::make_error_condition(std::errc::no_space_on_device);
            co_return full ? *state->last_error : numbered.error();
        }
        auto* const parent = state->peek(directory);
        if (seen != state->changes || parent == nullptr || !state->may_change(turn)) continue;
        if (parent->gone) co_return posix(std::errc::no_such_file_or_directory);
        const auto now = state->wall();
        auto& node = state->add(state->numbers.next());
        node.made = state->generation;
        node.now.type = what.type;
        node.now.mode = what.mode;
        node.now.uid = what.uid;
        node.now.gid = what.gid;
        node.now.rdev = what.rdev;
        node.now.nlink = node.directory() ? 2 : 1;
        node.now.mtime = node.now.ctime = node.now.atime = node.now.btime = now;
        node.known_as = std::pair{directory, name};
        if (symlink) {
            node.symlink = base::to_bytes(base::as_bytes(what.symlink_target));
            node.now.size = what.symlink_target.size();
        }
        node.now.parent = directory;
        for (auto& [key, value] : what.xattrs) node.set_xattr(key, LiveXattr{std::move(value), state->generation});
        state->set_name(*parent, name, std::nullopt, target_of(node), true);
        if (node.directory()) ++parent->now.nlink;
        parent->now.mtime = parent->now.ctime = now;
        state->touched(*parent);
        state->touched(node);
        co_return node.number;
    }
}

base::Task<base::Result<void>> WorkingTree::link(InodeNumber inode, InodeNumber directory, std::string name) {
    auto* const state = state_.get();
    BASE_CO_CHECK(check_name(name));
    const auto turn = state->turn();
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        const auto seen = state->changes;
        BASE_CO_CHECK(co_await State::load(state, inode));
        BASE_CO_CHECK(co_await State::load_directory(state, directory));
        BASE_CO_TRY(const auto taken, co_await State::find_name(state, directory, name));
        auto* const node = state->peek(inode);
        auto* const parent = state->peek(directory);
        if (seen != state->changes || node == nullptr || parent == nullptr || !state->may_change(turn)) continue;
        if (node->directory()) co_return posix(std::errc::operation_not_permitted);
        if (taken) co_return posix(std::errc::file_exists);
        if (node->now.nlink == 0 || parent->gone) co_return posix(std::errc::no_such_file_or_directory);
        if (node->now.nlink >= kMaxLinks) co_return posix(std::errc::too_many_links);
        const auto now = state->wall();
        state->set_name(*parent, name, std::nullopt, target_of(*node), true);
        ++node->now.nlink;
        node->now.ctime = now;
        parent->now.mtime = parent->now.ctime = now;
        state->touched(*parent);
        state->touched(*node);
        co_return base::ok();
    }
}

base::Task<base::Result<void>> WorkingTree::unlink(InodeNumber directory, std::string name) {
    auto* const state = state_.get();
    const auto turn = state->removal();
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        const auto seen = state->changes;
        BASE_CO_TRY(const auto target, co_await State::find_name(state, directory, name));
        if (!target) co_return posix(std::errc::no_such_file_or_directory);
        if (target->type == base::FileType::directory) co_return posix(std::errc::is_a_directory);
        BASE_CO_CHECK(co_await State::load_named(state, directory, name, *target));
        BASE_CO_CHECK(co_await State::load_directory(state, directory));
        auto* const node = state->peek(target->inode);
        auto* const parent = state->peek(directory);
        if (seen != state->changes || node == nullptr || parent == nullptr || !state->may_change(turn)) continue;
        const auto now = state->wall();
        state->set_name(*parent, name, target, std::nullopt, false);
        parent->now.mtime = parent->now.ctime = now;
        state->touched(*parent);
        state->lose_link(*node, now);
        co_return base::ok();
    }
}

base::Task<base::Result<void>> WorkingTree::remove_directory(InodeNumber directory, std::string name) {
    auto* const state = state_.get();
    const auto turn = state->removal();
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        const auto seen = state->changes;
        BASE_CO_TRY(const auto target, co_await State::find_name(state, directory, name));
        if (!target) co_return posix(std::errc::no_such_file_or_directory);
        if (target->type != base::FileType::directory) co_return posix(std::errc::not_a_directory);
        BASE_CO_CHECK(co_await State::load_named(state, directory, name, *target));
        BASE_CO_TRY(const bool empty, co_await State::is_empty(state, target->inode));
        if (!empty) co_return posix(std::errc::directory_not_empty);
        BASE_CO_CHECK(co_await State::load_directory(state, directory));
        auto* const node = state->peek(target->inode);
        auto* const parent = state->peek(directory);
        if (seen != state->changes || node == nullptr || parent == nullptr || !state->may_change(turn)) continue;
        const auto now = state->wall();
        state->set_name(*parent, name, target, std::nullopt, false);
        --parent->now.nlink;
        parent->now.mtime = parent->now.ctime = now;
        state->touched(*parent);
        state->lose_link(*node, now);
        co_return base::ok();
    }
}

base::Task<base::Result<void>> WorkingTree::rename(InodeNumber from, std::string name, InodeNumber to,
                                                   std::string new_name, RenameMode mode) {
    auto* const state = state_.get();
    BASE_CO_CHECK(check_name(new_name));
    const bool exchange = mode == RenameMode::exchange;
    const auto turn = state->turn();
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        const auto seen = state->changes;
        BASE_CO_TRY(const auto source, co_await State::find_name(state, from, name));
        BASE_CO_TRY(const auto target, co_await State::find_name(state, to, new_name));
        if (!source || (exchange && !target)) co_return posix(std::errc::no_such_file_or_directory);
        if (target && mode == RenameMode::no_replace) co_return posix(std::errc::file_exists);
        if (target && target->inode == source->inode) co_return base::ok();
        const bool source_is_directory = source->type == base::FileType::directory;
        const bool target_is_directory = target && target->type == base::FileType::directory;
        if (target && !exchange) {
            if (source_is_directory && !target_is_directory) co_return posix(std::errc::not_a_directory);
            if (!source_is_directory && target_is_directory) co_return posix(std::errc::is_a_directory);
        }
        if (source_is_directory && from != to) {
            BASE_CO_TRY(const bool loops, co_await State::lies_below(state, to, source->inode));
            if (loops) co_return posix(std::errc::invalid_argument);
        }
        if (exchange && target_is_directory && from != to) {
            BASE_CO_TRY(const bool loops, co_await State::lies_below(state, from, target->inode));
            if (loops) co_return posix(std::errc::invalid_argument);
        }
        if (target_is_directory && !exchange) {
            BASE_CO_TRY(const bool empty, co_await State::is_empty(state, target->inode));
            if (!empty) co_return posix(std::errc::directory_not_empty);
        }
        BASE_CO_CHECK(co_await State::load(state, source->inode));
        if (target && exchange) BASE_CO_CHECK(co_await State::load(state, target->inode));
        if (target) BASE_CO_CHECK(co_await State::load_named(state, to, new_name, *target));
        BASE_CO_CHECK(co_await State::load_directory(state, from));
        BASE_CO_CHECK(co_await State::load_directory(state, to));
        auto* const moved = state->peek(source->inode);
        auto* const replaced = target ? state->peek(target->inode) : nullptr;
        auto* const old_parent = state->peek(from);
        auto* const new_parent = state->peek(to);
        const bool all_there =
            moved != nullptr && old_parent != nullptr && new_parent != nullptr && (replaced != nullptr || !target);
        if (seen != state->changes || !all_there || !state->may_change(turn)) continue;
        if (new_parent->gone) co_return posix(std::errc::no_such_file_or_directory);

        const auto now = state->wall();
        const bool exclusive = mode == RenameMode::no_replace;
        state->set_name(*old_parent, name, source, exchange ? target : std::nullopt, false);
        state->set_name(*new_parent, new_name, target, source, exclusive);
        moved->known_as = std::pair{to, new_name};
        moved->now.ctime = now;
        moved->now.parent = to;
        if (source_is_directory) {
            --old_parent->now.nlink;
            ++new_parent->now.nlink;
        }
        if (exchange) {
            replaced->known_as = std::pair{from, name};
            replaced->now.ctime = now;
            replaced->now.parent = from;
            if (target_is_directory) {
                --new_parent->now.nlink;
                ++old_parent->now.nlink;
            }
            state->touched(*replaced);
        } else if (replaced != nullptr) {
            if (target_is_directory) --new_parent->now.nlink;
        }
        old_parent->now.mtime = old_parent->now.ctime = now;
        new_parent->now.mtime = new_parent->now.ctime = now;
        state->touched(*moved);
        state->touched(*old_parent);
        if (new_parent != old_parent) state->touched(*new_parent);
        if (replaced != nullptr && !exchange) state->lose_link(*replaced, now);
        co_return base::ok();
    }
}

base::Task<base::Result<Inode>> WorkingTree::set_attributes(InodeNumber inode, AttributeChange change) {
    auto* const state = state_.get();
    const auto turn = state->turn();
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        BASE_CO_TRY(auto* const node, co_await State::load(state, inode));
        if (!state->may_change(turn)) continue;
        const bool lazy = !change.mode && !change.uid && !change.gid && !change.mtime && !change.ctime && !change.flags;
        auto& now = node->now;
        now.mode = change.mode.value_or(now.mode);
        now.uid = change.uid.value_or(now.uid);
        now.gid = change.gid.value_or(now.gid);
        now.flags = change.flags.value_or(now.flags);
        now.atime = change.atime.value_or(now.atime);
        now.mtime = change.mtime.value_or(now.mtime);
        if (!lazy) now.ctime = change.ctime.value_or(state->wall());
        state->touched(*node, lazy);
        co_return now;
    }
}

void WorkingTree::note_read(InodeNumber inode) {
    auto* const state = state_.get();
    auto* const node = state->peek(inode);
    if (!state->writable() || !state->may_change(state->turn()) || node == nullptr || node->damaged) return;
    constexpr std::int64_t kDay = 24 * 60 * 60;
    const auto at = state->wall();
    auto& now = node->now;
    const bool read_since = now.atime > now.mtime && now.atime > now.ctime;
    if (read_since && at.seconds - now.atime.seconds < kDay) return;
    now.atime = at;
    state->touched(*node, true);
}

base::Task<base::Result<void>> WorkingTree::set_xattr(InodeNumber inode, std::string name, base::Bytes value,
                                                      XattrMode mode) {
    auto* const state = state_.get();
    if (name.empty() || name.size() > kMaxXattrNameBytes) co_return posix(std::errc::result_out_of_range);
    if (value.size() > kMaxXattrBytes) co_return posix(std::errc::argument_list_too_long);
    const auto turn = state->turn(inode);
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        const auto seen = state->changes;
        if (mode != XattrMode::set) {
            BASE_CO_TRY(const auto there, co_await State::xattr(state, inode, name));
            if (there && mode == XattrMode::create) co_return posix(std::errc::file_exists);
            if (!there && mode == XattrMode::replace) co_return posix(std::errc::no_message_available);
        }
        BASE_CO_TRY(auto* const node, co_await State::load(state, inode));
        if (seen != state->changes || !state->may_change(turn)) continue;
        node->set_xattr(std::move(name), LiveXattr{std::move(value), state->generation});
        node->now.ctime = state->wall();
        state->touched(*node);
        co_return base::ok();
    }
}

base::Task<base::Result<void>> WorkingTree::remove_xattr(InodeNumber inode, std::string name) {
    auto* const state = state_.get();
    const auto turn = state->turn(inode);
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        const auto seen = state->changes;
        BASE_CO_TRY(const auto there, co_await State::xattr(state, inode, name));
        if (!there) co_return posix(std::errc::no_message_available);
        BASE_CO_TRY(auto* const node, co_await State::load(state, inode));
        if (seen != state->changes || !state->may_change(turn)) continue;
        node->set_xattr(std::move(name), LiveXattr{std::nullopt, state->generation});
        node->now.ctime = state->wall();
        state->touched(*node);
        co_return base::ok();
    }
}

// --- Content

base::Task<base::Result<void>> WorkingTree::resize(InodeNumber inode, std::uint64_t size) {
    auto* const state = state_.get();
    if (size > INT64_MAX) co_return posix(std::errc::file_too_large);
    const auto turn = state->removal();
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        BASE_CO_TRY(auto* const node, co_await State::load(state, inode));
        if (!state->may_change(turn)) continue;
        if (!node->regular()) {
            co_return posix(node->directory() ? std::errc::is_a_directory : std::errc::invalid_argument);
        }
        if (size < node->now.size) node->content.truncate(size, state->generation);
        node->now.size = size;
        node->now.mtime = node->now.ctime = state->wall();
        state->touched(*node);
        co_return base::ok();
    }
}

namespace {

/// Without an offset: at the end. Returns where.
base::Task<base::Result<std::uint64_t>> put(WorkingTree::State* state, InodeNumber inode,
                                            std::optional<std::uint64_t> offset, base::ByteView bytes) {
    using State = WorkingTree::State;
    const auto turn = state->turn(inode);
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        BASE_CO_TRY(auto* const node, co_await State::load(state, inode));
        if (!state->may_change(turn)) continue;
        if (!node->regular()) {
            co_return posix(node->directory() ? std::errc::is_a_directory : std::errc::invalid_argument);
        }
        const auto at = offset.value_or(node->now.size);
        if (at > INT64_MAX || bytes.size() > INT64_MAX - at) co_return posix(std::errc::file_too_large);
        if (bytes.empty()) co_return at;
        node->content.write(at, bytes, state->generation);
        node->now.size = std::max(node->now.size, at + bytes.size());
        node->now.mtime = node->now.ctime = state->wall();
        state->touched(*node);
        co_return at;
    }
}

}  // namespace

base::Task<base::Result<void>> WorkingTree::write(InodeNumber inode, std::uint64_t offset, base::ByteView bytes) {
    BASE_CO_CHECK(co_await put(state_.get(), inode, offset, bytes));
    co_return base::ok();
}

base::Task<base::Result<std::uint64_t>> WorkingTree::append(InodeNumber inode, base::ByteView bytes) {
    return put(state_.get(), inode, std::nullopt, bytes);
}

base::Task<base::Result<void>> WorkingTree::punch(InodeNumber inode, std::uint64_t offset, std::uint64_t length) {
    auto* const state = state_.get();
    const auto turn = state->turn(inode);
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        BASE_CO_TRY(auto* const node, co_await State::load(state, inode));
        if (!state->may_change(turn)) continue;
        if (!node->regular()) co_return posix(std::errc::invalid_argument);
        const auto end = std::min(node->now.size, offset + std::min(length, UINT64_MAX - offset));
        if (offset < end) {
            node->content.punch(offset, end, state->generation);
        }
        node->now.mtime = node->now.ctime = state->wall();
        state->touched(*node);
        co_return base::ok();
    }
}

base::Task<base::Result<std::uint64_t>> WorkingTree::copy_range(InodeNumber from, std::uint64_t from_offset,
                                                                InodeNumber to, std::uint64_t to_offset,
                                                                std::uint64_t length) {
    auto* const state = state_.get();
    if (to_offset > INT64_MAX || length > INT64_MAX - to_offset) co_return posix(std::errc::file_too_large);
    const auto turn = state->turn(to);
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        const auto seen = state->changes;
        BASE_CO_TRY(const auto* const source, co_await State::load(state, from));
        if (!source->regular()) co_return posix(std::errc::invalid_argument);
        if (from_offset >= source->now.size) co_return std::uint64_t{0};
        const auto end = std::min(source->now.size, from_offset + std::min(length, UINT64_MAX - from_offset));
        const bool overlaps = from == to && from_offset < to_offset + (end - from_offset) && to_offset < end;
        if (overlaps) co_return posix(std::errc::invalid_argument);
        const FileRange range{from_offset, end};
        BASE_CO_TRY(const auto parts, co_await State::segments(state, from, range, kMostCopied));
        BASE_CO_TRY(auto* const node, co_await State::load(state, to));
        if (seen != state->changes || !state->may_change(turn)) continue;
        if (!node->regular()) co_return posix(std::errc::invalid_argument);
        std::uint64_t copied = 0;
        std::size_t held = 0;  // in memory, once more
        for (const auto& part : parts) {
            if (held >= kMaxBufferBytes) break;
            if (part.piece.in_memory()) held += part.piece.length;
            copied += part.piece.length;
            const auto at = to_offset + (part.offset - from_offset);
            if (part.piece.in_memory()) {
                node->content.write(at, part.piece.bytes(), state->generation);
            } else if (part.piece.stored) {
                node->content.put_stored(at, *part.piece.stored, part.piece.since, state->generation);
            } else {
                node->content.punch(at, at + part.piece.length, state->generation);
            }
        }
        node->now.size = std::max(node->now.size, to_offset + copied);
        node->now.mtime = node->now.ctime = state->wall();
        state->touched(*node);
        co_return copied;
    }
}

}  // namespace objstore
