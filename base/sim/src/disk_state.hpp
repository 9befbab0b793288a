// The simulated disk's insides: the cache (what processes see), the platter (what a power loss leaves), and what is
// pending between them.
//
// A file holds its cached contents only. For each change that is not synced it keeps what the change overwrote, so a
// power loss can go back to the platter and forward again over the changes that had reached it. A directory, being
// small, keeps both its cached and its durable entries.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/sim/disk.hpp"
#include "seeded_rng.hpp"
#include "sparse_bytes.hpp"

namespace base::sim {

/// A write or truncate in the cache.
struct DataChange {
    enum class Standing : std::uint8_t {
        pending,
        synced,  ///< on the platter; kept only because an older change of this file is doomed
        doomed,  ///< a sync failed: it never reaches the platter, whatever later syncs say
    };
    std::uint64_t sequence = 0;
    Standing standing = Standing::pending;
    bool truncate = false;
    std::uint64_t offset = 0;  ///< of a write
    std::uint64_t length = 0;  ///< of a write
    std::uint64_t old_size = 0;
    std::uint64_t new_size = 0;
    Bytes overwritten;  ///< from `offset` (a write) or `new_size` (a truncate) up to the old size
};

struct DiskNode {
    std::uint64_t id = 0;
    bool directory = false;
    SparseBytes data;
    std::deque<DataChange> changes;
    using Entries = std::map<std::string, std::shared_ptr<DiskNode>, std::less<>>;
    Entries cached;
    Entries durable;
};
using DiskNodePtr = std::shared_ptr<DiskNode>;

/// One name set (or removed) in one directory.
struct NameChange {
    DiskNodePtr directory;
    std::string name;
    DiskNodePtr target;    ///< null: removed
    DiskNodePtr expected;  ///< a removal applies only to this
    bool durable = false;
};

/// A directory operation: its parts become durable together, except that of a rename across directories the new name
/// may be durable before the old one is gone. (No real file system loses both.)
struct NameOperation {
    std::uint64_t sequence = 0;
    std::vector<NameChange> changes;
    std::set<std::uint64_t> synced;  ///< directories that were synced since
};

/// A process that has the disk open.
struct DiskProcess {
    bool dead = false;
};

struct Disk::State {
    State(std::uint64_t seed, DiskOptions options_in);

    // --- names (disk_state.cpp) ---
    [[nodiscard]] Result<DiskNodePtr> find(std::string_view path) const;
    [[nodiscard]] Result<DiskNodePtr> find_directory(std::string_view path) const;
    struct Place {
        DiskNodePtr parent;
        std::string name;
    };
    [[nodiscard]] Result<Place> group_of(std::string_view path) const;
    [[nodiscard]] DiskNodePtr must_find(std::string_view path) const;
    DiskNodePtr make_node(bool directory);
    void set_name(const Place& place, const DiskNodePtr& target);
    void remove_name(const Place& place);
    void move_name(const Place& from, const Place& to);
    void make_names_durable(const DiskNodePtr& directory);

    // --- contents ---
    Result<void> reserve(const DiskNode& node, std::uint64_t offset, std::uint64_t length);
    void write(const DiskNodePtr& node, std::uint64_t offset, std::span<const ByteView> parts);
    void truncate(const DiskNodePtr& node, std::uint64_t size);
    void make_durable(const DiskNodePtr& node);
    void doom(const DiskNodePtr& node);

    // --- calls (disk.cpp) ---
    /// Counts a call and decides whether it fails. Of a boundary it also learns whether the process dies before it.
    template <class Effect, class Partial>
    Result<void> boundary(DiskCall call, DiskProcess& process, std::string site, Effect effect, Partial partial);
    std::optional<Error> failing(DiskCall call);
    [[noreturn]] void crash(DiskProcess& process, std::string site);
    void charge(bool sync, std::uint64_t bytes);
    void note(std::uint64_t value) { trace = mix(trace, value); }

    // --- power (disk_power.cpp) ---
    void lose_power(PowerLoss loss);

    SeededRng rng;
    DiskOptions options;
    DiskNodePtr root;
    std::uint64_t next_id = 0;
    std::uint64_t next_sequence = 0;
    std::map<std::uint64_t, DiskNodePtr> dirty;  ///< files with changes
    std::deque<NameOperation> name_operations;
    std::uint64_t used_pages = 0;
    std::map<std::uint64_t, std::weak_ptr<DiskProcess>> locks;  ///< by file

    std::shared_ptr<DiskProcess> process = std::make_shared<DiskProcess>();  ///< that opens through the Disk itself
    bool gentle = false;
    bool read_only = false;

    std::uint64_t boundaries = 0;
    std::uint64_t crash_boundary = 0;
    CrashSide crash_side = CrashSide::before;
    bool crashed = false;
    std::string crash_site;
    std::function<void()> on_crash;
    struct Failure {
        std::uint64_t at = 0;  ///< call number; 0 = none
        bool and_later = false;
        Error error;
    };
    std::array<std::uint64_t, kDiskCalls> calls{};
    std::array<Failure, kDiskCalls> failures{};
    std::uint64_t failing_boundary = 0;
    Error boundary_error;
    Duration time{};
    std::uint64_t trace = 0;

  private:
    void apply_names(NameOperation& operation, bool only_new_name);
    [[nodiscard]] static bool crosses(const NameOperation& operation) {
        return operation.changes.front().directory != operation.changes.back().directory;
    }
};

/// Every page of every reachable file, for the space that is used.
[[nodiscard]] std::uint64_t count_pages(const DiskNode& directory);

}  // namespace base::sim
