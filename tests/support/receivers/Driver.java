import java.nio.file.Files;
import java.nio.file.Path;

/** Verifies the requests in the directories that are named, and prints true or false for each. */
final class Driver {
    public static void main(String[] directories) throws Exception {
        for (String directory : directories) {
            Path of = Path.of(directory);
            String secret = Files.readString(of.resolve("secret"));
            String id = Files.readString(of.resolve("id"));
            String timestamp = Files.readString(of.resolve("timestamp"));
            String signature = Files.readString(of.resolve("signature"));
            byte[] body = Files.readAllBytes(of.resolve("body"));
            System.out.println(WebhookSignature.verify(secret, id, timestamp, signature, body));
        }
    }
}
