// Telling the kernel what to drop, on a thread of its own: such a call may wait for a page or a directory that is
// locked for a request which we are to answer.
//
// drop_*() from the node's executor; never blocks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "fuse/files.hpp"

namespace fusefs {

class Notifier final : public KernelCache {
  public:
    struct Item {
        NodeId node = 0;
        std::string name;  ///< empty: the inode, else that entry of it
    };
    /// `tell` is called on the thread, in the order of the drop_*() calls.
    using Tell = std::function<void(const Item&)>;

    Notifier() = default;
    ~Notifier() override;
    Notifier(const Notifier&) = delete;
    Notifier& operator=(const Notifier&) = delete;

    void start(Tell tell);
    /// The thread ends as soon as the kernel lets it; what was not told yet is not.
    void ask_to_stop();
    [[nodiscard]] bool stopped() const { return !running_; }
    /// Asks, and waits. The kernel must not be able to hold it up any more.
    void stop();

    void drop_inode(NodeId node) override { push({node, {}}); }
    void drop_entry(NodeId directory, const std::string& name) override { push({directory, name}); }

  private:
    void push(Item item);
    void run();

    /// Beyond this the oldest is given up: the kernel forgets it by itself after Files::cache_time().
    static constexpr std::size_t kMaxItems = 1U << 20U;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Item> items_;
    bool stopping_ = false;
    std::atomic<bool> running_ = false;
    Tell tell_;
    std::thread thread_;
};

}  // namespace fusefs
