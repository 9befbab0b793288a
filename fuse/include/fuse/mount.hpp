// A file system in the kernel's tree of directories: mounting it, answering the kernel, unmounting it.
//
// The one face of the one place that includes libfuse (src/adapter*.cpp). Requests are read on the node's executor and
// run there as coroutines; what memory can answer is answered before the next request is read. Only what the kernel is
// told to drop goes through a thread of its own: such a call may wait for a request that we are to answer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/env.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "fuse/files.hpp"

namespace fusefs {

struct Adapter;

struct MountConfig {
    std::string directory;                              ///< absolute
    std::string source;                                 ///< as mount(8) shows it
    std::vector<std::string> options;                   ///< of mount(8) and fuse(4): "ro", "allow_other", "noexec" ...
    base::Duration timeout = std::chrono::seconds{60};  ///< a request that waits longer is EIO; zero: for ever
    /// Read and not answered yet, but for waits for a lock, which have a limit of their own. More stay in the kernel.
    std::size_t max_requests = 1024;
    /// Whether this thread of another process is about to die of a signal: the kernel tells of every signal and does
    /// not say of which. Only then does a waiting call end early, but for one that waits for a lock, which any signal
    /// ends.
    std::function<bool(std::uint32_t thread)> dies = [](std::uint32_t) { return false; };
};

class Mount {
  public:
    /// Not mounted yet.
    Mount(base::NodeEnv env, MountConfig config);
    /// Unmounts.
    ~Mount();
    Mount(const Mount&) = delete;
    Mount& operator=(const Mount&) = delete;

    [[nodiscard]] KernelCache& kernel_cache();

    /// Afterwards the directory shows the file system; accesses wait until serve() runs. Errors name the directory and
    /// the reason.
    base::Result<void> mount();
    /// Answers requests until the directory is unmounted, by somebody else or by unmount(). Requests that still wait
    /// then end with an error.
    base::Task<void> serve(Files& files);
    /// The directory is what it was before; who has files of it open gets ENOTCONN. While serve() runs; ends it.
    base::Task<void> unmount();

    struct Statistics {
        std::uint64_t requests = 0;
        std::uint64_t answered_later = 0;  ///< not within the wake-up that read them
        std::uint64_t wake_ups = 0;        ///< times that the loop slept before a request came
        std::vector<std::pair<std::string, std::uint64_t>> by_kind;  ///< name of the operation, how many
    };
    [[nodiscard]] Statistics statistics() const;

  private:
    std::unique_ptr<Adapter> adapter_;
};

}  // namespace fusefs
