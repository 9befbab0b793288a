#include "adapter_notifier.hpp"

#include <pthread.h>

#include <csignal>

namespace fusefs {

Notifier::~Notifier() { stop(); }

void Notifier::start(Tell tell) {
    tell_ = std::move(tell);
    stopping_ = false;
    running_ = true;
    // Signals belong to the thread that waits for them.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    thread_ = std::thread{[this] { run(); }};
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Notifier::ask_to_stop() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_all();
}

void Notifier::stop() {
    if (!thread_.joinable()) return;
    ask_to_stop();
    thread_.join();
}

void Notifier::push(Item item) {
    {
        const std::lock_guard lock{mutex_};
        if (items_.size() >= kMaxItems) items_.pop_front();
        items_.push_back(std::move(item));
    }
    wake_.notify_one();
}

void Notifier::run() {
    ::pthread_setname_np(::pthread_self(), "pelago-notify");
    std::unique_lock lock{mutex_};
    for (;;) {
        wake_.wait(lock, [this] { return stopping_ || !items_.empty(); });
        if (stopping_) break;
        const Item item = std::move(items_.front());
        items_.pop_front();
        lock.unlock();
        tell_(item);
        lock.lock();
    }
    running_ = false;
}

}  // namespace fusefs
