// The frame of what docs/clients.md verifies webhooks with, which is put in place of the mark.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

final class Verify {
// VERIFY

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] given = line.split("\t");
            Map<String, String> headers = Map.of(
                    "webhook-id", given[1], "webhook-timestamp", given[2], "webhook-signature", given[3]);
            System.out.println(verify(given[0], headers, Base64.getDecoder().decode(given[4])));
        }
    }
}
