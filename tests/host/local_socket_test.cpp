// Commands and the daemon of one machine.
#include "base/host/local_socket.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw_peer.hpp"
#include "scratch.hpp"

namespace host_test {
namespace {

using base::host::connect_local;
using base::host::LocalServer;
using ::testing::HasSubstr;

class LocalSocketTest : public TransportTest {
  protected:
    [[nodiscard]] Result<std::unique_ptr<LocalServer>> try_serve() {
        return LocalServer::open(runtime.executor(), runtime.clock(), runtime.rng(), *log, path, limits);
    }
    [[nodiscard]] std::unique_ptr<LocalServer> serve() {
        auto server = try_serve();
        EXPECT_TRUE(server) << server.error().message();
        (*server)->serve(Service::local,
                         [this](base::Peer from, Message message) -> Task<Result<Message>> {
                             last = from;
                             co_return message;
                         },
                         {});
        return std::move(*server);
    }
    [[nodiscard]] std::unique_ptr<base::Transport> connect() {
        return connect_local(runtime.executor(), runtime.clock(), runtime.rng(), path, limits);
    }
    static Message command(std::size_t payload = 0) {
        return Message{Service::local, 1, base::to_bytes("status"), base::SharedBytes{Bytes(payload, 0x11)}};
    }

    Scratch scratch;
    std::string path = scratch.path("node.sock");
    base::Peer last;
};

TEST_F(LocalSocketTest, ACommandReachesTheDaemon) {
    const auto server = serve();
    const auto client = connect();
    for (const std::size_t payload : {0U, 20'000U, 4U << 20U}) {
        const auto answer = ask(*client, {}, command(payload));
        ASSERT_TRUE(answer) << answer.error().message();
        EXPECT_EQ(text_of(*answer), "status");
        EXPECT_EQ(answer->payload.size(), payload);
    }
    EXPECT_TRUE(last.address.id.is_zero());
    EXPECT_EQ(last.certificate, nullptr);
}

TEST_F(LocalSocketTest, TheDaemonCanNotifyNobodyButAnswersMany) {
    const auto server = serve();
    std::vector<std::unique_ptr<base::Transport>> clients;
    for (int i = 0; i < 20; ++i) {
        clients.push_back(connect());
        EXPECT_TRUE(ask(*clients.back(), {}, command()));
    }
}

TEST_F(LocalSocketTest, OnlyTheOwnerMayOpenTheSocket) {
    const auto server = serve();
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(LocalSocketTest, WithoutADaemonTheErrorSaysSo) {
    const auto client = connect();
    const auto answer = ask(*client, {}, command());
    EXPECT_EQ(answer.error(), Errc::unreachable);
    EXPECT_THAT(answer.error().detail(), HasSubstr("no node is running here"));
}

TEST_F(LocalSocketTest, ASocketLeftBehindIsReplacedALiveOneIsNot) {
    {
        const base::host::UniqueFd dead{::socket(AF_UNIX, SOCK_STREAM, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    const auto server = serve();
    EXPECT_EQ(try_serve().error(), Errc::exists);
    const auto client = connect();
    EXPECT_TRUE(ask(*client, {}, command()));
}

TEST_F(LocalSocketTest, AFileInTheWayIsNotTouched) {
    scratch.write("node.sock", "precious");
    EXPECT_EQ(try_serve().error(), Errc::exists);
    EXPECT_EQ(scratch.read("node.sock"), "precious");
}

TEST_F(LocalSocketTest, APathThatIsTooLongIsAClearError) {
    path = scratch.path(std::string(120, 'x'));
    EXPECT_EQ(try_serve().error(), Errc::bad_argument);
    const auto client = connect();
    EXPECT_EQ(ask(*client, {}, command()).error(), Errc::bad_argument);
}

TEST_F(LocalSocketTest, TheSocketGoesWithTheServer) {
    serve().reset();
    EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

TEST_F(LocalSocketTest, AClientSurvivesARestartOfTheDaemon) {
    auto server = serve();
    const auto client = connect();
    EXPECT_TRUE(ask(*client, {}, command()));
    server.reset();
    pass(50ms);
    EXPECT_FALSE(ask(*client, {}, command()));
    server = serve();
    pass(300ms);
    EXPECT_TRUE(ask(*client, {}, command()));
}

TEST_F(LocalSocketTest, AnotherUserIsTurnedAway) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
    const auto server = serve();
    ASSERT_EQ(::chmod(path.c_str(), 0666), 0);  // what a careless administrator may do
    const pid_t child = ::fork();
    if (child == 0) {  // system calls only: the parent has threads
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        char byte = 0;
        const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
        if (::setresuid(65534, 65534, 65534) != 0) ::_exit(3);
        if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) ::_exit(2);
        ::_exit(::recv(socket, &byte, 1, 0) == 0 ? 0 : 1);  // closed without a word
    }
    int status = -1;
    while (::waitpid(child, &status, WNOHANG) == 0) pass(10ms);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(log->count("refused a local command of another user"), 1U);
}

}  // namespace
}  // namespace host_test
