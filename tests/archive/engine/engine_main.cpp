// The archive engine over a PAST in memory, to see what it costs without a store below it:
//     archive_engine SOURCE [TARGET]      backs up twice, restores, prints figures
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "base/host/host_disk.hpp"
#include "base/host/host_local_tree.hpp"
#include "base/host/host_runtime.hpp"
#include "objstore/archive/backup.hpp"
#include "objstore/archive/restore.hpp"
#include "support/memory_storage.hpp"

namespace {

// The engine talks to nobody: the storage is in this process.
class NoTransport final : public base::Transport {
  public:
    [[nodiscard]] const base::Address& self() const override { return self_; }
    base::Task<base::Result<base::Message>> request(base::Address, base::Message, base::TimePoint) override {
        co_return base::Errc::unreachable;
    }
    void notify(const base::Address&, base::Message) override {}
    void serve(base::Service, RequestHandler, NotifyHandler) override {}

  private:
    base::Address self_;
};

struct Parts {
    base::NodeEnv env;
    base::LocalTree& tree;
    support::MemoryStorage& storage;
};

void show(const char* what, const objstore::archive::Warnings& warnings) {
    for (const auto& [kind, entry] : warnings.kinds()) {
        const auto& [path, error] = entry.first.front();
        std::printf("%s: %s %s (%s), %llu in all\n", what, path.c_str(), objstore::archive::describe(kind),
                    error.message().c_str(), static_cast<unsigned long long>(entry.count));
    }
}

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

double peak_mb() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1024;
}

base::Task<base::Result<int>> work(Parts& parts, std::string source, std::string target, int level) {
    const base::SigningKey owner{base::Key{1}};
    const auto high_water = objstore::make_disk_high_water(parts.env, "marks");
    BASE_CO_TRY(const auto volume,
                co_await objstore::Volume::create(parts.env, parts.storage, *high_water, owner, "bench"));
    for (int round = 0; round < 2; ++round) {
        objstore::archive::BackupOptions options;
        options.paths = {source};
        options.host = "bench";
        options.zstd_level = level;
        options.cache_path = "cache/dedup";
        const auto cpu = cpu_seconds();
        BASE_CO_TRY(const auto report,
                    co_await objstore::archive::backup(parts.env, parts.tree, *volume, std::move(options)));
        show("backup", report.warnings);
        std::printf("directories %llu new %llu changed %llu same, root %s, %llu bytes stored\n",
                    static_cast<unsigned long long>(report.directories.added),
                    static_cast<unsigned long long>(report.directories.changed),
                    static_cast<unsigned long long>(report.directories.unchanged),
                    report.snapshot->root->id.short_hex().c_str(),
                    static_cast<unsigned long long>(report.bytes_stored));
        std::printf(
            "backup %d: %.2f s, cpu %.2f s, files %llu new %llu changed %llu same, read %.1f MB, new %.1f MB, "
            "stored %.1f MB in %llu blocks, in memory %.1f MB, peak %.0f MB\n",
            round, std::chrono::duration<double>(report.duration).count(), cpu_seconds() - cpu,
            static_cast<unsigned long long>(report.files.added), static_cast<unsigned long long>(report.files.changed),
            static_cast<unsigned long long>(report.files.unchanged), static_cast<double>(report.bytes_read) / 1e6,
            static_cast<double>(report.bytes_new) / 1e6, static_cast<double>(report.bytes_stored) / 1e6,
            static_cast<unsigned long long>(report.blocks_stored),
            static_cast<double>(parts.storage.bytes_stored()) / 1e6, peak_mb());
    }
    if (target.empty()) co_return 0;
    BASE_CO_TRY(const auto snapshots, co_await volume->snapshots());
    objstore::archive::RestoreOptions options;
    options.target = target;
    const auto cpu = cpu_seconds();
    BASE_CO_TRY(const auto report, co_await objstore::archive::restore(parts.env, parts.tree, *volume, snapshots.back(),
                                                                       std::move(options)));
    show("restore", report.warnings);
    std::printf("restore: %.2f s, cpu %.2f s, %llu files, %llu directories, %.1f MB, %llu blocks, peak %.0f MB\n",
                std::chrono::duration<double>(report.duration).count(), cpu_seconds() - cpu,
                static_cast<unsigned long long>(report.files), static_cast<unsigned long long>(report.directories),
                static_cast<double>(report.bytes) / 1e6, static_cast<unsigned long long>(report.blocks_read),
                peak_mb());
    co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    base::host::HostRuntime runtime;
    const std::string scratch = "/tmp/archive-engine." + std::to_string(getpid());
    auto disk = base::host::HostDisk::create(scratch);
    if (!disk) return 1;
    NoTransport transport;
    const base::NodeEnv env{runtime.executor(), runtime.clock(), runtime.rng(), transport, **disk,
                            runtime.workers(),  runtime.log()};
    const auto tree = base::host::make_local_tree();
    support::MemoryStorage storage{runtime.executor(), objstore::verify_heartbeat};
    Parts parts{env, *tree, storage};
    auto result = runtime.run(work(parts, argv[1], argc > 2 ? argv[2] : "", argc > 3 ? std::atoi(argv[3]) : 3));
    if (!result) std::printf("failed: %s\n", result.error().message().c_str());
    return result ? 0 : 1;
}
