#include "objstore/high_water.hpp"

#include <array>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/task_group.hpp"
#include "base/wait_for_lock.hpp"
#include "objstore/heartbeat.hpp"

namespace objstore {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic{'P', 'L', 'W', '1'};
constexpr std::uint8_t kBare = 1;  // formats
constexpr std::uint8_t kWithRecord = 2;
constexpr std::chrono::seconds kPatience{10};  // with other clients on this directory
constexpr std::size_t kMostBytes = 4 + 1 + 32 + 8 + 32 + 10 + kMaxHeartbeatBytes + 4;

class DiskHighWater final : public HighWater {
  public:
    DiskHighWater(base::NodeEnv env, std::string directory)
        : env_{env}, directory_{std::move(directory)}, writing_{env.executor, 1} {}

    base::Task<base::Result<std::optional<Mark>>> load(base::Guid aguid) override {
        auto job = [&disk = env_.disk, path = where(aguid), aguid] { return read(disk, path, aguid); };
        co_return co_await env_.workers.run(std::move(job));
    }

    base::Task<base::Result<void>> raise(base::Guid aguid, Mark mark) override {
        BASE_CO_TRY(const auto seen, co_await load(aguid));
        if (!mark.adds_to(seen)) co_return base::ok();
        // Read, compare, replace: one at a time, in this process and in others that use the same directory.
        const auto permit = co_await writing_.acquire();
        auto prepare = [&disk = env_.disk, directory = directory_] { return make_path(disk, directory); };
        BASE_CO_CHECK(co_await env_.workers.run(std::move(prepare)));
        const auto deadline = env_.clock.now() + kPatience;
        auto lock = directory_ + ".lock";
        BASE_CO_TRY(const auto held, co_await base::wait_for_lock(env_, std::move(lock), deadline));
        auto job = [&disk = env_.disk, path = where(aguid), aguid, mark = std::move(mark)]() -> base::Result<void> {
            BASE_TRY(const auto present, read(disk, path, aguid));
            if (!mark.adds_to(present)) return base::ok();
            return base::replace_file(disk, path, mark.encode(aguid));
        };
        co_return co_await env_.workers.run(std::move(job));
    }

    [[nodiscard]] std::string where(const base::Guid& aguid) const override {
        return directory_ + "/" + aguid.hex() + ".mark";
    }

  private:
    // However its bytes break the format, they are not those that were written. Going on without it is the user's
    // choice: this once the holders are believed, whatever they show.
    static base::Error damaged(const std::string& path) {
        return {base::Errc::corrupt,
                path +
                    ", this client's note of the newest state that it has seen; remove the file to go on with what "
                    "the holders show"};
    }

    static base::Result<std::optional<Mark>> read(base::Disk& disk, const std::string& path, const base::Guid& aguid) {
        auto bytes = base::read_file(disk, path, kMostBytes);
        if (!bytes) {
            if (bytes.error() == base::Errc::not_found) return std::optional<Mark>{};
            if (bytes.error() == base::Errc::bad_format) return damaged(path);  // too long
            return bytes.error().with(path);
        }
        auto mark = Mark::decode(aguid, *bytes);
        if (!mark && mark.error() == base::Errc::bad_format) return damaged(path);
        if (!mark) return mark.error().with(path);
        return std::optional<Mark>{*mark};
    }

    // The directory's own name must be durable before a mark in it is worth anything.
    static base::Result<void> make_path(base::Disk& disk, const std::string& directory) {
        for (std::size_t end = directory.find('/');; end = directory.find('/', end + 1)) {
            const auto path = directory.substr(0, end);
            BASE_CHECK(disk.make_directory(path));
            const auto slash = path.rfind('/');
            BASE_CHECK(disk.sync_directory(slash == std::string::npos ? "" : path.substr(0, slash)));
            if (end == std::string::npos) return base::ok();
        }
    }

    base::NodeEnv env_;
    std::string directory_;
    base::Semaphore writing_;
};

}  // namespace

bool Mark::adds_to(const std::optional<Mark>& present) const {
    if (!present || sequence > present->sequence) return true;
    return sequence == present->sequence && body_hash == present->body_hash && present->record.empty() &&
           !record.empty();
}

base::Bytes Mark::encode(const base::Guid& aguid) const {
    base::Writer out;
    out.raw(kMagic).u8(record.empty() ? kBare : kWithRecord).guid(aguid).u64(sequence).guid(body_hash);
    if (!record.empty()) out.bytes(record);
    out.u32(base::crc32c(out.view()));
    return out.take();
}

base::Result<Mark> Mark::decode(const base::Guid& aguid, base::ByteView bytes) {
    const base::Error not_a_mark{base::Errc::bad_format, "not a high-water mark"};
    if (bytes.size() < 4) return not_a_mark;
    const auto covered = bytes.first(bytes.size() - 4);
    base::Reader checksum{bytes.last(4)};
    base::Reader in{covered};
    if (in.array<4>() != kMagic || checksum.u32() != base::crc32c(covered)) return not_a_mark;
    const auto format = in.u8();
    if (format > kWithRecord) return base::Error{base::Errc::unsupported, "a high-water mark of a later version"};
    const auto volume = in.guid();
    Mark out;
    out.sequence = in.u64();
    out.body_hash = in.guid();
    if (format == kWithRecord) out.record = base::to_bytes(in.bytes(kMaxHeartbeatBytes));
    if (!in.complete() || format == 0 || (format == kWithRecord && out.record.empty())) return not_a_mark;
    if (volume != aguid) return base::Error{base::Errc::bad_format, "a high-water mark of another volume"};
    return out;
}

std::unique_ptr<HighWater> make_disk_high_water(base::NodeEnv env, std::string directory) {
    return std::make_unique<DiskHighWater>(env, std::move(directory));
}

}  // namespace objstore
