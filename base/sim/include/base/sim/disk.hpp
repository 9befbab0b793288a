// A disk that forgets what was not synced: the page cache, the directory and the platter of one simulated machine.
//
// Every write, truncate, create, rename, remove and make_directory changes the cache only. File::sync() and
// sync_directory() carry it to the platter. kill() of the process keeps the cache; power_off() decides for each pending
// change whether it had reached the platter (PowerLoss). Model and reasons: docs/simulation.md#disk.
//
// Usable alone (`Disk disk{seed}`) or as a node's (`node.disk()`). One thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/disk.hpp"
#include "base/error.hpp"

namespace base::sim {

/// What becomes of changes that were not synced when the power goes.
enum class PowerLoss : std::uint8_t {
    lost,       ///< none of them happened
    torn,       ///< they happened in order up to one, which a write may have done in part (whole 512-byte sectors)
    reordered,  ///< each for itself: happened, did not, or (a write) any subset of its sectors did; a file may have
                ///< grown without its bytes (zeros)
    kept,       ///< all happened: the cache was written back just before
};
inline constexpr std::array kPowerLosses{PowerLoss::lost, PowerLoss::torn, PowerLoss::reordered, PowerLoss::kept};
[[nodiscard]] std::string_view to_string(PowerLoss loss);

/// The calls that are counted and can be made to fail.
enum class DiskCall : std::uint8_t {
    read,      ///< File::read_at
    write,     ///< File::write_at
    truncate,  ///< File::truncate
    sync,      ///< File::sync
    create,    ///< open() that makes a file
    rename,
    remove,
    make_directory,
    sync_directory,
};
inline constexpr std::size_t kDiskCalls = 9;
[[nodiscard]] std::string_view to_string(DiskCall call);

/// Where a crash falls, relative to a boundary.
enum class CrashSide : std::uint8_t {
    before,  ///< the call had no effect
    during,  ///< a write was done in part (a prefix), as kill -9 inside write(2) can leave it; else like before
    after,   ///< the call took effect, and its caller never learned
};
inline constexpr std::array kCrashSides{CrashSide::before, CrashSide::during, CrashSide::after};
[[nodiscard]] std::string_view to_string(CrashSide side);

struct DiskOptions {
    std::uint64_t capacity_bytes = std::uint64_t{1} << 40U;  ///< in 4 KiB pages that hold data
    Duration call_time{};                                    ///< virtual time that each call takes
    Duration sync_time{};                                    ///< more for each sync of a file or directory
    std::uint64_t bytes_per_second = 0;                      ///< 0: no limit
};

class Disk final : public base::Disk {
  public:
    explicit Disk(std::uint64_t seed = 0, DiskOptions options = {});
    ~Disk() override;
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    // --- the door ------------------------------------------------------------------------------------------------
    Result<std::unique_ptr<File>> open(std::string_view path, Mode mode) override;
    Result<void> rename(std::string_view from, std::string_view to) override;
    Result<void> remove(std::string_view path) override;
    Result<void> make_directory(std::string_view path) override;
    Result<void> sync_directory(std::string_view path) override;
    Result<std::vector<Entry>> list(std::string_view path) override;
    Result<DiskSpace> space() override;
    Result<std::unique_ptr<DirectoryLock>> lock(std::string_view path) override;

    // --- crashes -------------------------------------------------------------------------------------------------
    /// The process died: open files and locks of it are dead (their calls throw operation_aborted), the cache stays.
    void kill();
    /// The machine lost power: as kill(), and pending changes share the fate that `loss` and the seed choose.
    void power_off(PowerLoss loss);

    /// Boundaries so far: calls that change something (all but read). The first is number 1.
    [[nodiscard]] std::uint64_t boundaries() const;
    /// Crashes the process at boundary `number` (counted from the beginning of this disk's life): from then on every
    /// call of handles opened until now throws operation_aborted; `on_crash`, if set, is called first, once.
    void crash_at(std::uint64_t number, CrashSide side);
    void on_crash(std::function<void()> callback);
    /// Whether the planned crash happened since crash_at().
    [[nodiscard]] bool crashed() const;
    /// What was called at the boundary where the crash fell: "write store/000001.seg 4096+512".
    [[nodiscard]] const std::string& crash_site() const;
    void cancel_crash();

    // --- failing calls -------------------------------------------------------------------------------------------
    [[nodiscard]] std::uint64_t calls(DiskCall call) const;
    /// The `nth` call of this kind from now (1 = the next) fails with `error` and has no effect, except that a failed
    /// sync marks the file's pending writes clean without having written them: a later sync "succeeds" and a power
    /// loss still loses them (Rebello et al. 2020). With `and_later` all calls after it fail too.
    void fail(DiskCall call, std::uint64_t nth, Error error = Errc::io_failed, bool and_later = false);
    /// Like fail() for whatever call makes boundary `number`, counted as crash_at() does.
    void fail_at_boundary(std::uint64_t number, Error error);
    void fail_nothing();
    void set_capacity(std::uint64_t bytes);
    /// Slows every call down; see Workers in docs/simulation.md.
    void set_speed(Duration call_time, Duration sync_time, std::uint64_t bytes_per_second);
    /// Refuses changes with Errc::read_only while set.
    void set_read_only(bool read_only);

    // --- damage, on the platter and in the cache alike. Each asserts that the file exists. -------------------------
    void flip_bit(std::string_view path, std::uint64_t offset, unsigned bit);
    /// Zeroes the page of 4 KiB that holds `offset`.
    void zero_page(std::string_view path, std::uint64_t offset);
    void cut(std::string_view path, std::uint64_t size);  ///< to a shorter size
    void swap(std::string_view a, std::string_view b);    ///< exchanges the contents of two files (misdirected)
    void erase(std::string_view path);                    ///< the file is gone
    void overwrite(std::string_view path, std::uint64_t offset, ByteView bytes);

    // --- looking -------------------------------------------------------------------------------------------------
    /// Paths of all files, sorted.
    [[nodiscard]] std::vector<std::string> files() const;
    /// What the process would read; nullopt if there is no such file.
    [[nodiscard]] std::optional<Bytes> contents(std::string_view path) const;
    /// Changes that a power loss may undo.
    [[nodiscard]] std::size_t pending() const;
    [[nodiscard]] std::uint64_t used_bytes() const;
    /// A hash over every effect so far, in order.
    [[nodiscard]] std::uint64_t trace_hash() const;
    /// Virtual time that calls have taken since the last time this was asked; Workers charge it to their job.
    [[nodiscard]] Duration take_time();

    /// The door that dies with the process that opened it. The Disk itself is such a door, renewed by kill() and
    /// power_off(); a node has one of these an incarnation.
    [[nodiscard]] std::unique_ptr<base::Disk> process_door();
    /// Calls through doors and files that are dead return Errc::stopped instead of throwing: while destructors run.
    void set_gentle(bool gentle);

    struct State;

  private:
    std::shared_ptr<State> state_;
};

/// Bugs that a careless store could have, planted to prove that the harness finds them.
struct DiskFaults {
    std::uint64_t skip_sync_number = 0;            ///< the n-th File::sync does nothing and says it did; 0 = none
    bool skip_every_sync = false;                  ///< every File::sync
    std::uint64_t skip_directory_sync_number = 0;  ///< the n-th sync_directory
    bool skip_every_directory_sync = false;
};

/// A door that passes everything on, except the calls that `faults` swallows.
class LyingDisk final : public base::Disk {
  public:
    LyingDisk(base::Disk& disk, DiskFaults faults);

    Result<std::unique_ptr<File>> open(std::string_view path, Mode mode) override;
    Result<void> rename(std::string_view from, std::string_view to) override { return disk_.rename(from, to); }
    Result<void> remove(std::string_view path) override { return disk_.remove(path); }
    Result<void> make_directory(std::string_view path) override { return disk_.make_directory(path); }
    Result<void> sync_directory(std::string_view path) override;
    Result<std::vector<Entry>> list(std::string_view path) override { return disk_.list(path); }
    Result<DiskSpace> space() override { return disk_.space(); }
    Result<std::unique_ptr<DirectoryLock>> lock(std::string_view path) override { return disk_.lock(path); }

    [[nodiscard]] std::uint64_t syncs() const;
    [[nodiscard]] std::uint64_t directory_syncs() const { return directory_syncs_; }

  private:
    base::Disk& disk_;
    DiskFaults faults_;
    std::shared_ptr<std::uint64_t> syncs_;
    std::uint64_t directory_syncs_ = 0;
};

}  // namespace base::sim
